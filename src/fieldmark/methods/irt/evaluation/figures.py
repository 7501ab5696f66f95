"""The figures of IRT's section of the report."""

from collections.abc import Mapping
from typing import Any

from fieldmark.engine.task import Task
from fieldmark.evaluation.confusions import hardest_confusions
from fieldmark.figures.charts import energy_curves, loss_curves
from fieldmark.figures.curves import curves_by_loss, read_curves
from fieldmark.figures.pictures import confusion_pairs, neighbour_gallery, representative_queries
from fieldmark.protocols.retrieval import Scored, picture_reader
from fieldmark.protocols.retrieval_figures import (
    class_figure,
    neighbour_figure,
    recall_figure,
    similarity_figure,
)
from fieldmark.results.figures import FigureFolder


def draw_figures(scored: Mapping[str, Scored], task: Task, figures: FigureFolder) -> None:
    """Draw every figure."""
    recall_figure(scored, figures)
    energy_curves(
        figures.new(
            "energy.svg",
            "Cumulative energy of principal components",
            "The flatter, the more dimensions the test descriptors use; the mark is where 90 % is reached.",
        ),
        {name: result.energy for name, result in scored.items()},
    )
    similarity_figure(scored, figures)
    _pictures(scored, task, figures)
    class_figure(scored, figures)
    if curves := read_curves(task.history):
        path = figures.new("loss.svg", "Training", "Each loss as it enters the sum, mean of ten steps.")
        loss_curves(path, curves_by_loss(curves), order=list(scored))


def _pictures(scored: Mapping[str, Scored], task: Task, figures: FigureFolder) -> None:
    """Draw what the last variant finds, what the first finds for the same queries, and what is confused."""
    (first_name, first), (main_name, main) = next(iter(scored.items())), list(scored.items())[-1]
    pictures: dict[str, Any] = {
        "picture": picture_reader(task, main.queries),
        "names": dict(enumerate(main.queries.class_names)),
        "gallery_picture": picture_reader(task, main.gallery) if main.gallery else None,
    }
    neighbour_figure(main_name, main, task, figures)
    if first_name != main_name:
        title, caption = f"The same queries, {first_name}", f"What variant {first_name} finds for them."
        path = figures.new("neighbours_first.svg", title, caption, wide=True)
        neighbour_gallery(path, first.results, representative_queries(main.results), **pictures)
    path = figures.new(
        "confusions.svg",
        f"Hardest confusions, {main_name}",
        "Pairs of classes with the largest share of wrong first neighbours, each with its clearest case.",
        wide=True,
    )
    confusion_pairs(path, hardest_confusions(main.results, 6), **pictures)
