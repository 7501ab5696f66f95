"""The figures of IRT's section of the report."""

from collections.abc import Mapping, Sequence
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

MOST = 8  # rows in a figure that shows each in a colour of its own


def draw_figures(
    every: Mapping[str, Scored],
    task: Task,
    figures: FigureFolder,
    ordinary: Sequence[str] = (),
    spectra: Sequence[str] = (),
) -> None:
    """Draw every figure: of all rows, or of the ordinary variants where there are too many arms beside them.

    Pictures and classes are those of the ordinary variants. `spectra` names the rows whose energy is drawn; none: all
    that the other figures show.
    """
    usual = {name: result for name, result in every.items() if name in ordinary} or every
    scored = every if len(every) <= MOST else usual
    recall_figure(scored, figures)
    energy_curves(
        figures.new(
            "energy.svg",
            "Cumulative energy of principal components",
            "The flatter, the more dimensions the test descriptors use; the mark is where 90 % is reached.",
        ),
        {name: every[name].energy for name in spectra or scored},
    )
    similarity_figure(scored, figures)
    _pictures(usual, task, figures)
    class_figure(usual, figures)
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
