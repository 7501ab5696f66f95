"""The revisited Oxford and Paris protocol (F. Radenovic et al., CVPR 2018, arXiv 1803.11285)."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor

from fieldmark.evaluation.arrays import Array, float_array

Indices = Sequence[Any]
Protocol = Literal["easy", "medium", "hard"]

# For each protocol, which kinds of rows are positives and which are ignored.
PROTOCOLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easy": (("easy",), ("hard", "junk")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("easy", "junk")),
}


def revisited_map(
    similarity: Tensor | Array, easy: Indices, hard: Indices, junk: Indices, protocol: Protocol
) -> float:
    """Return the mean average precision, 0 to 1, over the queries that have positives (0 when none has).

    The revisited Oxford and Paris protocol (Radenovic et al., CVPR 2018, arXiv 1803.11285), average precision by the
    trapezoid rule. `similarity` (database, queries), the larger the nearer; `easy`, `hard` and `junk` hold, for each
    query, its database rows of that kind. `protocol` says what counts: "easy" the easy rows, "medium" easy and hard
    ones, "hard" the hard ones; the other kinds are taken out of the ranking. Raises ValueError for an unknown
    protocol, NaN, rows outside the database, lists that do not match the queries, and images that are both positive
    and ignored.

    >>> import numpy as np
    >>> from fieldmark.evaluation import revisited_map
    >>> similarity = np.array([[0.9], [0.8], [0.7], [0.6]])  # four pictures, one query
    >>> revisited_map(similarity, easy=[[0]], hard=[[3]], junk=[[1]], protocol="medium")  # ranks 1 and 3 of 3
    0.7916666666666666
    >>> revisited_map(similarity, easy=[[0]], hard=[[3]], junk=[[1]], protocol="hard")  # rank 2 of 2
    0.25
    """
    precision = revisited_average_precision(similarity, easy, hard, junk, protocol)
    counted = precision[~np.isnan(precision)]
    return float(counted.mean()) if counted.size else 0.0


def revisited_average_precision(
    similarity: Tensor | Array, easy: Indices, hard: Indices, junk: Indices, protocol: Protocol
) -> Array:
    """Return (queries,) average precisions by the trapezoid rule, NaN for queries without positives.

    Ignored images are taken out of the ranking first. Of equal similarities, negatives rank first: equal similarities
    for all images must not score by luck. Raises ValueError for an unknown protocol, NaN, rows outside the database,
    lists that do not match the queries, and images that are both positive and ignored.
    """
    return _by_query(similarity, easy, hard, junk, protocol, _average_precision)


def revisited_precision(
    similarity: Tensor | Array, easy: Indices, hard: Indices, junk: Indices, protocol: Protocol, k: int = 10
) -> Array:
    """Return (queries,) precisions among the first k images, NaN for queries without positives.

    Ignored images are taken out of the ranking first. Where the last positive comes before rank k, its rank stands for
    k, as in the published evaluation: a query with fewer than k positives can reach 1. Ties and errors are those of
    `revisited_average_precision`; k below 1 raises ValueError, too.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, it is {k}")

    def precision(ranks: Array) -> float:
        within = min(int(ranks[-1]) + 1, k)
        return float((ranks < within).sum()) / within

    return _by_query(similarity, easy, hard, junk, protocol, precision)


def _by_query(
    similarity: Tensor | Array,
    easy: Indices,
    hard: Indices,
    junk: Indices,
    protocol: Protocol,
    measure: Callable[[Array], float],
) -> Array:
    """Return (queries,) what `measure` makes of the rising ranks, from 0, of a query's positives; NaN without any."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}; it is {protocol!r}")
    scores = float_array(similarity)
    if scores.ndim != 2 or np.isnan(scores).any():
        raise ValueError(f"similarity must be (database, queries) without NaN, its shape is {scores.shape}")
    lists = {"easy": easy, "hard": hard, "junk": junk}
    for name, rows in lists.items():
        if len(rows) != scores.shape[1]:
            raise ValueError(f"{name} must hold one list a query: {scores.shape[1]}, it holds {len(rows)}")
    wanted, ignored = PROTOCOLS[protocol]
    return np.array(
        [
            _measured(
                scores[:, query],
                _mask([lists[name][query] for name in wanted], len(scores), query),
                _mask([lists[name][query] for name in ignored], len(scores), query),
                query,
                measure,
            )
            for query in range(scores.shape[1])
        ]
    )


def _mask(parts: list[Any], database: int, query: int) -> Array:
    """Return (database,) bool with the rows of `parts` set."""
    mask = np.zeros(database, dtype=bool)
    for part in parts:
        rows = np.asarray(part, dtype=np.int64).reshape(-1)
        if rows.size and (rows.min() < 0 or rows.max() >= database):
            raise ValueError(f"query {query} names rows outside a database of {database} images")
        mask[rows] = True
    return mask


def _measured(
    scores: Array, positive: Array, ignored: Array, query: int, measure: Callable[[Array], float]
) -> float:
    if (positive & ignored).any():
        raise ValueError(f"query {query}: an image is both positive and ignored")
    if not positive.any():
        return float("nan")
    positives = np.sort(scores[positive])[::-1]
    negatives = np.sort(scores[~positive & ~ignored])
    # From 0; negatives first if equal.
    ranks: Array = np.arange(len(positives)) + len(negatives) - np.searchsorted(negatives, positives)
    return measure(ranks)


def _average_precision(ranks: Array) -> float:
    order = np.arange(len(ranks))
    before = np.where(ranks > 0, order / np.maximum(ranks, 1), 1.0)
    after = (order + 1) / (ranks + 1)
    return float(((before + after) / 2).mean())
