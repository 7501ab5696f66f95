"""Figures of a landmark benchmark."""

from collections.abc import Mapping

import numpy as np

from fieldmark.engine.task import Task
from fieldmark.evaluation.bootstrap import interval
from fieldmark.evaluation.geometry import SimilarityHistograms, binned
from fieldmark.evaluation.landmarks import Protocol
from fieldmark.figures.charts import measure_bars, similarity_panels
from fieldmark.figures.chosen import evenly
from fieldmark.figures.sheets import Cell, picture_sheet
from fieldmark.protocols.landmarks import Ranked
from fieldmark.protocols.retrieval import picture_reader
from fieldmark.results.figures import FigureFolder

BINS, SHOWN_QUERIES, SHOWN = 100, 6, 7
MEDIUM: Protocol = "medium"


def draw_landmarks(ranked: Mapping[str, Ranked], task: Task, figures: FigureFolder) -> None:
    """Draw the measures of every variant, the similarities of its pairs, and what the last variant finds."""
    _bars(ranked, figures)
    path = figures.new(
        "similarity.svg",
        "Similarity of pairs",
        "A query with what it should find (easy and hard) and with the rest of the database, junk left out.",
    )
    similarity_panels(path, {name: _histograms(one) for name, one in ranked.items()})
    name, last = list(ranked.items())[-1]
    _neighbours(name, last, task, figures)


def _bars(ranked: Mapping[str, Ranked], figures: FigureFolder) -> None:
    path = figures.new("map.svg", "mAP", "By the revisited protocol, with 95 % intervals over queries.")
    shown = [name for name in next(iter(ranked.values())).values if name.startswith("map_")]
    bars = {}
    for name, one in ranked.items():
        valid = {measure: one.values[measure][np.isfinite(one.values[measure])] for measure in shown}
        bars[name] = {measure: interval(values, np.arange(len(values))) for measure, values in valid.items()}
    measure_bars(path, bars, shown)


def _histograms(ranked: Ranked) -> SimilarityHistograms:
    counts = np.zeros((2, BINS), dtype=np.int64)
    for query in range(len(ranked.queries)):
        positive, ignored = ranked.kinds(MEDIUM, query)
        similarity = ranked.similarity[:, query]
        counts[0] += binned(similarity[positive], BINS)
        counts[1] += binned(similarity[~positive & ~ignored], BINS)
    return SimilarityHistograms(np.linspace(-1, 1, BINS + 1), counts[0], counts[1])


def _neighbours(name: str, ranked: Ranked, task: Task, figures: FigureFolder) -> None:
    """Draw queries from the worst to the best, cut to their boxes as the network sees them, with what is found."""
    precision = ranked.values[f"map_{MEDIUM}"]
    valid = np.flatnonzero(np.isfinite(precision))
    order = valid[np.argsort(precision[valid], kind="stable")]
    query_picture, picture = (picture_reader(task, side) for side in (ranked.queries, ranked.gallery))
    rows = []
    for query in order[evenly(len(order), SHOWN_QUERIES)].tolist():
        positive, ignored = ranked.kinds(MEDIUM, query)
        similarity = np.where(ignored, -np.inf, ranked.similarity[:, query])
        row = [Cell(query_picture(query), f"AP {precision[query]:.0%}", "query")]
        for found in np.argsort(-similarity, kind="stable")[: min(SHOWN, int((~ignored).sum()))].tolist():
            right = bool(positive[found])
            row.append(Cell(picture(found), f"{'✓' if right else '✗'} {similarity[found]:.2f}", "", right))
        rows.append(row)
    path = figures.new(
        "neighbours.svg",
        f"Queries and what they find, {name}",
        "Chosen by rule from the worst query to the best by average precision, medium; junk is left out.",
        wide=True,
    )
    picture_sheet(path, rows, lead=True)
