"""The figures of FRPT's section of the report."""

from collections.abc import Mapping
from pathlib import Path

from fieldmark.engine.task import Task
from fieldmark.evaluation.confusions import class_recall
from fieldmark.figures.charts import (
    class_recall_bars,
    interval_curves,
    loss_curves,
    measure_bars,
    similarity_panels,
)
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.pictures import neighbour_gallery, representative_queries
from fieldmark.methods.frpt.evaluation.progress import recall_by_shots, recall_on_the_way
from fieldmark.methods.frpt.evaluation.warps import warp_sheet
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FOLLOWED, FrptParams
from fieldmark.protocols.retrieval import Scored, picture_reader
from fieldmark.results.figures import FigureEntry, write_figures_index


def write_figures(
    every: Mapping[str, Scored], models: Mapping[str, Frpt], params: FrptParams, task: Task, folder: Path
) -> None:
    """Write every figure and their index into `folder`; those with few pictures per class have one of their own."""
    scored: dict[str, Scored] = {name: every[name] for name in params.variants}
    main_name, main = list(scored.items())[-1]
    prompted = [name for name in scored if models[name].prompt]
    names = dict(enumerate(main.queries.class_names))
    measure_bars(folder / "recall.svg", {n: s.measures for n, s in scored.items()}, main.recalls)
    if prompted:
        warp_sheet(folder / "warps.svg", scored[prompted[-1]], models[prompted[-1]], task)
    neighbour_gallery(
        folder / "neighbours.svg",
        main.results,
        representative_queries(main.results),
        picture_reader(task, main.queries),
        names,
        picture_reader(task, main.gallery) if main.gallery else None,
    )
    class_recall_bars(folder / "classes.svg", {n: class_recall(s.results) for n, s in scored.items()}, names)
    similarity_panels(folder / "similarity.svg", {n: s.histograms for n, s in scored.items()})
    curves = read_curves(task.history)
    if curves:
        loss_curves(folder / "loss.svg", curves_by_loss(curves), order=list(every))
    measure = main.recalls[0]
    if params.snapshots:
        ways = recall_on_the_way({name: models[name] for name in FOLLOWED if name in scored}, scored, task)
        interval_curves(folder / "steps.svg", ways, "steps", measure)
    if params.shots:
        interval_curves(
            folder / "shots.svg", recall_by_shots(every, params, task), "training pictures per class", measure
        )
    entries = _entries(main_name, prompted[-1] if prompted else "")
    write_figures_index(folder, [entry for entry in entries if (folder / entry.file).exists()])


def _entries(main: str, prompted: str) -> list[FigureEntry]:
    texts = [
        ("recall.svg", "Recall@k", "With 95 % intervals over classes.", True),
        (
            "warps.svg",
            f"What the prompt shows the backbone, {prompted}",
            "Each picture, its saliency over it, and its warp: a query, then its nearest neighbour. Three right "
            "ones and three wrong ones, chosen by rule from low to high average precision.",
            True,
        ),
        (
            "neighbours.svg",
            f"Queries and their nearest neighbours, {main}",
            "Chosen by rule from the worst query to the best: the middle of each sixth by average precision.",
            True,
        ),
        (
            "steps.svg",
            "Recall over steps",
            "On the test classes, at steps fixed beforehand; no step was chosen by it.",
            False,
        ),
        ("shots.svg", "Recall over training pictures per class", "All of them on the right.", False),
        ("similarity.svg", "Similarity of pairs", "The less the two overlap, the easier the search.", False),
        ("classes.svg", "Recall@1 per class", "Worst first.", False),
        ("loss.svg", "Training", "Mean of ten steps.", False),
    ]
    return [FigureEntry(file=f, title=t, caption=c, wide=w) for f, t, c, w in texts]
