"""Sheets of the results of a retrieval: queries with their neighbours, and classes that are confused."""

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

    `picture(row)` returns the picture of a query, `gallery_picture(row)` that of a neighbour (the same by default).
    `names` gives the name of a label. A neighbour has a green frame and a tick where its label is right, and a red
    frame and a cross where it is wrong.
    """
    neighbour_picture = gallery_picture or picture
    rows = []
    for query in queries:
        row = [Cell(picture(query), _name(names, results.query_labels[query]), "query")]
        for rank in range(min(shown, results.neighbours.shape[1])):
            neighbour, correct = int(results.neighbours[query, rank]), bool(results.correct[query, rank])
            detail = "" if correct else _name(names, results.gallery_labels[neighbour])
            similarity = f"{'✓' if correct else '✗'} {results.similarities[query, rank]:.2f}"
            row.append(Cell(neighbour_picture(neighbour), similarity, detail, correct))
        rows.append(row)
    picture_sheet(path, rows, lead=True)


def representative_queries(results: RetrievalResults, count: int = 6) -> list[int]:
    """Choose queries of different classes evenly from the worst average precision to the best.

    A fixed rule chooses, so that nobody picks what looks good: the valid queries are sorted by average precision and
    cut into `count` equal parts, and of each part the middle one is taken, or the next one of a class not yet shown.
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
    for confusion in confusions:
        fraction = f"{confusion.fraction:.0%} of queries:"
        cells.append(Cell(picture(confusion.query), _name(names, confusion.label), fraction))
        mistaken = neighbour_picture(confusion.neighbour), _name(names, confusion.taken_for)
        cells.append(Cell(*mistaken, "taken for this", correct=False))
    step = 2 * pairs_in_a_row
    picture_sheet(path, [cells[start : start + step] for start in range(0, len(cells), step)])


def _name(names: Mapping[Any, str] | None, label: Any) -> str:
    return str((names or {}).get(label, label))
