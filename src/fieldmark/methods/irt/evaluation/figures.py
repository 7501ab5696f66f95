"""The figures of IRT's section of the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.contract.method import Task
from fieldmark.engine.watch import curves_by_loss, read_curves
from fieldmark.evaluation.confusions import class_recall, hardest_confusions
from fieldmark.figures.charts import (
    class_recall_bars,
    energy_curves,
    loss_curves,
    measure_bars,
    similarity_panels,
)
from fieldmark.figures.pictures import confusion_pairs, neighbour_gallery, representative_queries
from fieldmark.protocols.retrieval import Scored, picture_reader
from fieldmark.results.schema import FigureEntry, write_figures_index


def write_figures(scored: Mapping[str, Scored], task: Task, folder: Path) -> None:
    """Write every figure and their index into `folder`."""
    (first_name, first), (main_name, main) = next(iter(scored.items())), list(scored.items())[-1]
    names = dict(enumerate(main.queries.class_names))
    pictures: dict[str, Any] = {
        "picture": picture_reader(task, main.queries),
        "names": names,
        "gallery_picture": picture_reader(task, main.gallery) if main.gallery else None,
    }
    queries = representative_queries(main.results)
    neighbour_gallery(folder / "neighbours.svg", main.results, queries, **pictures)
    if first_name != main_name:
        neighbour_gallery(folder / "neighbours_first.svg", first.results, queries, **pictures)
    confusion_pairs(folder / "confusions.svg", hardest_confusions(main.results, 6), **pictures)
    measure_bars(folder / "recall.svg", {n: s.measures for n, s in scored.items()}, main.recalls)
    class_recall_bars(folder / "classes.svg", {n: class_recall(s.results) for n, s in scored.items()}, names)
    similarity_panels(folder / "similarity.svg", {n: s.histograms for n, s in scored.items()})
    energy_curves(folder / "energy.svg", {n: s.energy for n, s in scored.items()})
    curves = read_curves(task.history)
    if curves:
        loss_curves(folder / "loss.svg", curves_by_loss(curves), order=list(scored))
    entries = _entries(first_name, main_name)
    write_figures_index(folder, [entry for entry in entries if (folder / entry.file).exists()])


def _entries(first: str, main: str) -> list[FigureEntry]:
    texts = [
        ("recall.svg", "Recall@k", "With 95 % intervals over classes.", False),
        (
            "energy.svg",
            "Cumulative energy of principal components",
            "The flatter, the more dimensions the test descriptors use; the mark is where 90 % is reached.",
            False,
        ),
        ("similarity.svg", "Similarity of pairs", "The less the two overlap, the easier the search.", False),
        (
            "neighbours.svg",
            f"Queries and their nearest neighbours, {main}",
            "Chosen by rule from the worst query to the best: the middle of each sixth by average precision.",
            True,
        ),
        (
            "neighbours_first.svg",
            f"The same queries, {first}",
            f"What variant {first} finds for them.",
            True,
        ),
        (
            "confusions.svg",
            f"Hardest confusions, {main}",
            "Pairs of classes with the largest share of wrong first neighbours, each with its clearest case.",
            True,
        ),
        ("classes.svg", "Recall@1 per class", "Worst first.", False),
        ("loss.svg", "Training", "Each loss as it enters the sum, mean of ten steps.", False),
    ]
    return [FigureEntry(file=f, title=t, caption=c, wide=w) for f, t, c, w in texts]
