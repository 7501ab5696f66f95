"""Sheets of what a retrieval found: queries with their neighbours, and what is confused with what."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.confusions import Confusion
from fieldmark.evaluation.retrieval import RetrievalResults
from fieldmark.figures.chosen import evenly
from fieldmark.figures.sheets import Cell, picture_sheet

Picture = Callable[[int], Array]  # row -> (H, W, 3) uint8


def neighbour_gallery(
    path: Path,
    results: RetrievalResults,
    queries: Iterable[int],
    picture: Picture,
    names: Mapping[Any, str] | None = None,
    gallery_picture: Picture | None = None,
    shown: int = 7,
) -> None:
    """Write queries (rows of `results`), each with its nearest neighbours and their similarity.

    `picture(row)` gives a query's picture, `gallery_picture(row)` a neighbour's (the same by default);
    `names` the name of a label. A frame is green and ticked where the label is right, red and crossed where not.
    """
    neighbour_picture = gallery_picture or picture
    rows = []
    for query in queries:
        row = [Cell(picture(query), _name(names, results.query_labels[query]), "query")]
        for place in range(min(shown, results.neighbours.shape[1])):
            found, correct = int(results.neighbours[query, place]), bool(results.correct[query, place])
            detail = "" if correct else _name(names, results.gallery_labels[found])
            similarity = f"{'✓' if correct else '✗'} {results.similarities[query, place]:.2f}"
            row.append(Cell(neighbour_picture(found), similarity, detail, correct))
        rows.append(row)
    picture_sheet(path, rows, lead=True)


def representative_queries(results: RetrievalResults, count: int = 6) -> list[int]:
    """Choose queries of different classes evenly from the worst average precision to the best.

    A fixed rule, so that nobody picks what looks good: valid queries sorted by average precision, cut into
    `count` equal parts, the middle of each taken, or the next one of a class not yet shown.
    """
    valid = np.flatnonzero(results.valid)
    order = valid[np.argsort(results.ap[valid], kind="stable")]
    chosen: list[int] = []
    for start in evenly(len(order), count):
        candidates = np.roll(order, -start).tolist()
        seen = {results.query_labels[query] for query in chosen}
        fresh = [query for query in candidates if results.query_labels[query] not in seen]
        left = [query for query in candidates if query not in chosen]
        chosen.append((fresh or left)[0])
    return chosen


def confusion_pairs(
    path: Path,
    confusions: Sequence[Confusion],
    picture: Picture,
    names: Mapping[Any, str] | None = None,
    gallery_picture: Picture | None = None,
    pairs_in_a_row: int = 3,
) -> None:
    """Write the clearest case of each confusion side by side: the query, and what it was taken for."""
    neighbour_picture = gallery_picture or picture
    cells = []
    for one in confusions:
        share = f"{one.share:.0%} of queries:"
        cells.append(Cell(picture(one.query), _name(names, one.label), share))
        cells.append(
            Cell(
                neighbour_picture(one.neighbour), _name(names, one.taken_for), "taken for this", correct=False
            )
        )
    step = 2 * pairs_in_a_row
    picture_sheet(path, [cells[start : start + step] for start in range(0, len(cells), step)])


def _name(names: Mapping[Any, str] | None, label: Any) -> str:
    return str((names or {}).get(label, label))
