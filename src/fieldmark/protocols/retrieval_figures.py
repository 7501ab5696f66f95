"""Figures that every retrieval method draws."""

from collections.abc import Mapping

from fieldmark.engine.task import Task
from fieldmark.evaluation.confusions import class_recall
from fieldmark.figures.charts import class_recall_bars, measure_bars, similarity_panels
from fieldmark.figures.pictures import neighbour_gallery, representative_queries
from fieldmark.protocols.retrieval import Scored, picture_reader
from fieldmark.results.figures import FigureFolder

BY_RULE = "Chosen by rule from the worst query to the best: the middle of each sixth by average precision."


def recall_figure(scored: Mapping[str, Scored], figures: FigureFolder, *, wide: bool = False) -> None:
    """Draw the recalls of every variant."""
    path = figures.new("recall.svg", "Recall@k", "With 95 % intervals over classes.", wide=wide)
    recalls = next(iter(scored.values())).recalls
    measure_bars(path, {name: result.measures for name, result in scored.items()}, recalls)


def neighbour_figure(name: str, scored: Scored, task: Task, figures: FigureFolder) -> None:
    """Draw queries of variant `name`, each with its nearest neighbours."""
    title = f"Queries and their nearest neighbours, {name}"
    neighbour_gallery(
        figures.new("neighbours.svg", title, BY_RULE, wide=True),
        scored.results,
        representative_queries(scored.results),
        picture_reader(task, scored.queries),
        dict(enumerate(scored.queries.class_names)),
        picture_reader(task, scored.gallery) if scored.gallery else None,
    )


def similarity_figure(scored: Mapping[str, Scored], figures: FigureFolder) -> None:
    """Draw the similarities of positive and of negative pairs."""
    caption = "The less the two overlap, the easier the search."
    path = figures.new("similarity.svg", "Similarity of pairs", caption)
    similarity_panels(path, {name: result.histograms for name, result in scored.items()})


def class_figure(scored: Mapping[str, Scored], figures: FigureFolder) -> None:
    """Draw recall@1 of every class."""
    path = figures.new("classes.svg", "Recall@1 per class", "Worst first.")
    names = dict(enumerate(next(iter(scored.values())).queries.class_names))
    class_recall_bars(path, {name: class_recall(result.results) for name, result in scored.items()}, names)
