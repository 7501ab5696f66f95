"""The figures of LOCA's section of the report."""

from collections.abc import Mapping
from pathlib import Path

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.figures.charts import loss_curves, measure_bars
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.trends import Point, trend_panels
from fieldmark.methods.loca.evaluation.positions import Positions
from fieldmark.methods.loca.evaluation.probes import Dense
from fieldmark.methods.loca.evaluation.scaling import scaling_figures
from fieldmark.methods.loca.evaluation.sheets import feature_sheet, mask_sheet, position_sheet
from fieldmark.methods.loca.model.method import Loca
from fieldmark.protocols.pairs import Pairs
from fieldmark.results.figures import FigureFolder

LOSSES = ("position", "box_distance", "box_overlap", "cluster", "me_max", "loss")
PANELS = {
    "position accuracy": "position_accuracy",
    "mIoU of the probe": "miou_probe",
    "mIoU after fine-tuning": "miou_finetune",
}
Measures = Mapping[str, Interval]


def draw_figures(
    models: Mapping[str, Loca],
    dense: Mapping[str, Dense],
    positions: Mapping[str, Positions],
    measures: Mapping[str, Measures],
    task: Task,
    test: Pairs,
    figures: FigureFolder,
) -> None:
    """Draw every figure; `test` are the pictures on which features were judged."""
    if dense:
        _dense_figures(dense, measures, test, figures)
    _position_figure(models, positions, task, figures)
    _eta_figure(models, measures, figures)
    scaling_figures(models, measures, task, figures)
    _curve_figures(task, list(models), figures)


def _dense_figures(
    dense: Mapping[str, Dense], measures: Mapping[str, Measures], test: Pairs, figures: FigureFolder
) -> None:
    title = "mIoU of linear probes on frozen features"
    caption = "By the fraction of the labelled pictures; with 95 % intervals over test pictures."
    _bars(figures.new("probes.svg", title, caption, wide=True), measures, "miou_probe")
    caption = "By the fraction of the labelled pictures; with 95 % intervals over test pictures."
    _bars(figures.new("finetune.svg", "mIoU after fine-tuning", caption), measures, "miou_finetune")
    caption = (
        "Test pictures at even steps, their true masks, and what each variant makes of them: fine-tuned "
        "where it was, else by its probe on all labels."
    )
    mask_sheet(figures.new("masks.svg", "Masks", caption, wide=True), dense, test)
    caption = (
        "Patch features of these pictures: their first three principal components as red, green and blue."
    )
    feature_sheet(figures.new("features.svg", "Features", caption, wide=True), dense, test)


def _bars(path: Path, measures: Mapping[str, Measures], start: str) -> None:
    """Draw the measures whose name begins with `start`, of the variants that have them."""
    having = {
        name: values for name, values in measures.items() if any(key.startswith(start) for key in values)
    }
    if having:
        first = next(iter(having.values()))
        measure_bars(path, having, [key for key in first if key.startswith(start)])


def _position_figure(
    models: Mapping[str, Loca], positions: Mapping[str, Positions], task: Task, figures: FigureFolder
) -> None:
    """Draw where patches were put by LOCA, or else by the first variant that has queries."""
    with_queries = [name for name, scored in positions.items() if len(scored.shown.predicted)]
    if not with_queries:
        return
    name = "LOCA" if "LOCA" in with_queries else with_queries[0]
    path = figures.new(
        "positions.svg",
        f"Where {name} puts the patches of a query",
        "The picture with the reference (blue) and a query (orange); the reference, its visible patches "
        "bright; the query; its patches at their true places in the reference; and where they were put, "
        "green where right.",
        wide=True,
    )
    position_sheet(path, positions[name], models[name], task)


def _eta_figure(models: Mapping[str, Loca], measures: Mapping[str, Measures], figures: FigureFolder) -> None:
    panels = _by_eta(models, measures)
    if any(len(points) > 1 for curves in panels.values() for points in curves.values()):
        caption = "Pretext accuracy and transfer against eta."
        path = figures.new("eta.svg", "Masking of the reference", caption, wide=True)
        trend_panels(path, panels, "hidden fraction of the reference, eta")


def _by_eta(
    models: Mapping[str, Loca], measures: Mapping[str, Measures]
) -> dict[str, dict[str, list[Point]]]:
    """Return panel -> mode -> points (eta, measure), for the modes that hide a part of the reference."""
    panels: dict[str, dict[str, list[Point]]] = {}
    for title, key in PANELS.items():
        for name, values in measures.items():
            variant = models[name].variant
            if key in values and variant.trained and not variant.parts.scaled:
                curves = panels.setdefault(title, {})
                curves.setdefault(variant.parts.mode.name, []).append((variant.parts.eta, values[key]))
    for curves in panels.values():
        for points in curves.values():
            points.sort(key=lambda point: point[0])
    return panels


def _curve_figures(task: Task, order: list[str], figures: FigureFolder) -> None:
    curves = curves_by_loss(read_curves(task.history))
    losses = {name: curve for name, curve in curves.items() if name in LOSSES}
    health = {name: curve for name, curve in curves.items() if name not in LOSSES}
    if losses:
        caption = "Each loss as it enters the sum, mean of ten steps."
        loss_curves(figures.new("loss.svg", "Training", caption), losses, order=order)
    if health:
        caption = (
            "Pretext accuracy (for boxes: overlap), spread of features, entropy of the targets and fraction of the "
            "prototypes in use, on training views."
        )
        loss_curves(figures.new("health.svg", "Signs of collapse", caption), health, order=order)
