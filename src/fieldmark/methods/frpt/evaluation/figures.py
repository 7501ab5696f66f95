"""The figures of FRPT's section of the report."""

from collections.abc import Mapping

from fieldmark.engine.task import Task
from fieldmark.figures.charts import interval_curves, loss_curves
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.methods.frpt.evaluation.activations import activation_figure
from fieldmark.methods.frpt.evaluation.progress import Progress, recall_by_shots
from fieldmark.methods.frpt.evaluation.warps import warp_figure
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.variants import all_variants
from fieldmark.protocols.retrieval import Scored
from fieldmark.protocols.retrieval_figures import (
    class_figure,
    neighbour_figure,
    recall_figure,
    similarity_figure,
)
from fieldmark.results.figures import FigureFolder


def draw_figures(
    scored: Mapping[str, Scored],
    models: Mapping[str, Frpt],
    progress: Mapping[str, Progress],
    params: FrptParams,
    task: Task,
    figures: FigureFolder,
) -> None:
    """Draw every figure; the variants with few pictures per class have a separate one, and pictures are not of arms."""
    every = {name: result for name, result in scored.items() if models[name].variant.parts.shots is None}
    ordinary = {variant.name for variant in all_variants(params)}
    whole = {name: result for name, result in every.items() if name in ordinary}
    prompted = [name for name in whole if models[name].prompt]
    last = list(whole)[-1]
    recall_figure(every, figures, wide=True)
    if prompted:
        warp_figure(prompted[-1], whole[prompted[-1]], models[prompted[-1]], task, figures)
    activation_figure(whole, models, task, figures)
    neighbour_figure(last, whole[last], task, figures)
    _growth(scored, progress, params, task, figures)
    similarity_figure(every, figures)
    class_figure(whole, figures)
    if curves := read_curves(task.history):
        path = figures.new("loss.svg", "Training", "Mean of ten steps.")
        loss_curves(path, curves_by_loss(curves), order=list(scored))


def _growth(
    scored: Mapping[str, Scored],
    progress: Mapping[str, Progress],
    params: FrptParams,
    task: Task,
    figures: FigureFolder,
) -> None:
    """Draw how recall grows with the steps, and with the training pictures per class."""
    measure = next(iter(scored.values())).recalls[0]
    if progress:
        caption = "On the test classes, at steps fixed beforehand; no step was chosen by it."
        path = figures.new("steps.svg", "Recall over steps", caption)
        interval_curves(path, {name: one.curve for name, one in progress.items()}, "steps", measure)
    if params.shots:
        title, caption = "Recall over training pictures per class", "All of them on the right."
        path = figures.new("shots.svg", title, caption)
        curves = recall_by_shots(scored, params.shots, task)
        interval_curves(path, curves, "training pictures per class", measure)
