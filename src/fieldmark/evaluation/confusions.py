"""Recall per class, and the pairs of classes that are confused most often."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.retrieval import RetrievalResults


@dataclass(frozen=True)
class ClassRecall:
    """Recall@k of each class, worst first: labels, recall and queries all have shape (C,)."""

    labels: Array
    recall: Array
    queries: Array


@dataclass(frozen=True)
class Confusion:
    """A class and a class for which its queries are taken at rank 1.

    `count` is how many queries, `fraction` is `count` divided by the valid queries of the class. `query` and
    `neighbour` are the rows of the clearest case, the wrong neighbour with the highest similarity.
    """

    label: Any
    taken_for: Any
    count: int
    fraction: float
    query: int
    neighbour: int


def class_recall(results: RetrievalResults, k: int = 1) -> ClassRecall:
    """Return recall@k per class over its valid queries, worst class first, then by label."""
    labels, codes = np.unique(results.query_labels[results.valid], return_inverse=True)
    queries = np.bincount(codes, minlength=len(labels))
    hits = np.bincount(codes, weights=results.recall(k)[results.valid], minlength=len(labels))
    recall = hits / np.maximum(queries, 1)
    order = np.argsort(recall, kind="stable")
    return ClassRecall(labels[order], recall[order], queries[order])


def hardest_confusions(results: RetrievalResults, n: int = 8) -> list[Confusion]:
    """Return the n (class, wrong class) pairs with the largest fraction of rank-1 errors, largest first.

    It returns fewer when fewer pairs occur, and none for results without neighbours.
    """
    if results.neighbours.shape[1] == 0:
        return []
    totals: Mapping[Any, int] = Counter(results.query_labels[results.valid].tolist())
    cases: dict[tuple[Any, Any], list[int]] = {}
    for query in np.flatnonzero(results.valid & ~results.correct[:, 0]).tolist():
        pair = (results.query_labels[query], results.gallery_labels[results.neighbours[query, 0]])
        cases.setdefault(pair, []).append(query)
    confusions = [_confusion(results, pair, queries, totals) for pair, queries in cases.items()]
    return sorted(confusions, key=_hardest_first)[:n]


def _hardest_first(confusion: Confusion) -> tuple[float, int, str, str]:
    return -confusion.fraction, -confusion.count, str(confusion.label), str(confusion.taken_for)


def _confusion(
    results: RetrievalResults, pair: tuple[Any, Any], queries: list[int], totals: Mapping[Any, int]
) -> Confusion:
    label, taken_for = (name.item() if isinstance(name, np.generic) else name for name in pair)
    clearest = max(queries, key=lambda query: (results.similarities[query, 0], -query))
    return Confusion(
        label=label,
        taken_for=taken_for,
        count=len(queries),
        fraction=len(queries) / totals[label],
        query=clearest,
        neighbour=int(results.neighbours[clearest, 0]),
    )
