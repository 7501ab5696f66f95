"""Retrieval measures: recall@k, MAP@R, R-precision and mAP, from the ranks of each query's positives.

Ties: a positive ranks before a negative only when it is more similar by more than 2**-40; of equal similarities, the
negatives rank first. A model that maps every picture to one point therefore gets the worst scores, never lucky ones.

Let p_1 >= ... >= p_R be the similarities of the R positives of a query, and n_k the number of negatives that are at
least as similar as p_k. Then the rank of the k-th positive is k + n_k. Every measure follows from these ranks, so that
no full ranking is sorted, and the memory is bounded by one block of queries against the gallery.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Array, Rows, label_array
from fieldmark.evaluation.nearest import Found, Nearest
from fieldmark.evaluation.ranking import NegativeCounter, Reached, owners
from fieldmark.evaluation.shortlist import ShortCounter
from fieldmark.evaluation.tiles import ALONE, Pair, Share, Tile, in_threads, plain_products


@dataclass(frozen=True)
class RetrievalResults:
    """What each of N queries retrieved from a gallery of G (leave-one-out: the gallery is the queries).

    first_rank        (N,) int64: rank of the first positive, from 1; 0 where `valid` is False
    ap, ap_at_r       (N,) float64: average precision over the full ranking, and cut at rank R
    r_precision       (N,) float64: fraction of positives among the first R
    valid             (N,) bool: False for queries without a positive in the gallery; their values are 0
    query_labels      (N,), gallery_labels (G,): labels as given
    neighbours        (N, K) int64: gallery rows by falling similarity; similarities (N, K) float64
    """

    first_rank: Array
    ap: Array
    ap_at_r: Array
    r_precision: Array
    valid: Array
    query_labels: Array
    gallery_labels: Array
    neighbours: Array
    similarities: Array

    def recall(self, k: int) -> Array:
        """Return (N,) float64: 1 where a positive is among the first k (at most the whole gallery), else 0."""
        return (self.valid & (self.first_rank <= k)).astype(np.float64)

    def values(self, ks: Sequence[int] = (1, 2, 4, 8)) -> dict[str, Array]:
        """Return the value per query (N,) of each measure, by name; a measure is their mean over `valid`."""
        return {
            **{f"recall@{k}": self.recall(k) for k in ks},
            "map@r": self.ap_at_r,
            "r_precision": self.r_precision,
            "map": self.ap,
        }

    @property
    def correct(self) -> Array:
        """(N, K) bool: whether each neighbour has the query's label."""
        if self.neighbours.size == 0:
            return np.zeros(self.neighbours.shape, dtype=bool)
        matches: Array = self.gallery_labels[self.neighbours] == self.query_labels[:, None]
        return matches


def retrieval_metrics(
    queries: Tensor | Array,
    query_labels: Tensor | Array | Sequence[int],
    gallery: Tensor | Array | None = None,
    gallery_labels: Tensor | Array | Sequence[int] | None = None,
    ks: Sequence[int] = (1, 2, 4, 8),
    full: bool = True,
) -> dict[str, float]:
    """Return `recall@k` for each k, `map@r`, `r_precision`, `map` and `skipped`, by cosine similarity.

    Fractions from 0 to 1, means over queries; `skipped` is a number of queries. recall@k: a positive is among the
    first k. MAP@R and R-precision: Musgrave et al., "A Metric Learning Reality Check", arXiv 2003.08505; MAP@R sums
    the precisions at the positives among the first R and divides by R, the number of positives. `map`: average
    precision over the whole ranking. A positive must be more similar than a negative to rank before it.
    Without `full` there is no `map`, which alone asks for the rank of every positive: large sets take a fraction of
    the time, and the other measures are the same.

    `queries` (N, D) and `gallery` (G, D) need not be normalised; labels (N,) and (G,). Without a gallery each query
    is searched among the other queries (leave-one-out, excluded by index: an exact duplicate still counts). Queries
    without a positive are left out of the means and counted in `skipped`; when none is left the measures are 0.
    A k past the gallery's size means the whole gallery. Raises ValueError for NaN or infinite rows (named),
    for shapes that do not fit and for k below 1.

    >>> import torch
    >>> from fieldmark.evaluation import retrieval_metrics
    >>> embeddings = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9], [1.0, 1.0]])
    >>> metrics = retrieval_metrics(embeddings, [0, 0, 1, 1, 2], ks=(1,))  # the last has no positive
    >>> metrics["recall@1"], metrics["map@r"], metrics["skipped"]
    (1.0, 1.0, 1.0)
    """
    if any(k < 1 for k in ks):
        raise ValueError(f"every k of recall@k must be at least 1, ks is {tuple(ks)}")
    depth = None if full else max(ks, default=1)
    results = rank_queries(queries, query_labels, gallery, gallery_labels, 0, depth)
    counted = max(int(results.valid.sum()), 1)
    values = results.values(ks)
    if not full:
        del values["map"]
    metrics = {name: float(each.sum() / counted) for name, each in values.items()}
    return metrics | {"skipped": float((~results.valid).sum())}


def rank_queries(
    queries: Tensor | Array,
    query_labels: Tensor | Array | Sequence[int],
    gallery: Tensor | Array | None = None,
    gallery_labels: Tensor | Array | Sequence[int] | None = None,
    neighbours: int = 10,
    depth: int | None = None,
    share: Share = ALONE,
) -> RetrievalResults:
    """Rank a gallery (G, D) for each query (N, D) and keep its `neighbours` nearest rows.

    Arguments and errors are those of `retrieval_metrics`; K = min(neighbours, rows that can be retrieved). With a
    `depth`, for which there are no neighbours, ranks beyond both it and R are not looked for: `ap` is wrong, and
    `recall` holds for k up to `depth`. Several processes may call this with the same arguments, each with its `share`:
    each looks through a part of the tiles, and all get everything.
    """
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("gallery and gallery_labels go together: give both or neither")
    rows = Rows(queries, "queries")
    labels = label_array(query_labels, len(rows), "query_labels")
    others = rows if gallery is None else Rows(gallery, "gallery")
    other_labels = labels if gallery is None else label_array(gallery_labels, len(others), "gallery_labels")
    if rows.dim != others.dim:
        raise ValueError(f"queries have {rows.dim} dimensions, the gallery has {others.dim}")
    pair = Pair(rows, others, *_codes(labels, other_labels, rows.device), alone=gallery is None)
    columns = _Columns(len(rows), max(min(neighbours, len(others) - pair.alone), 0))
    with plain_products():
        for part in pair.parts() if len(others) else ():
            if depth is None:
                columns.fill(pair, part, share)
            else:
                columns.fill_first(ShortCounter(pair, part, depth), share)
    return RetrievalResults(
        **columns.measures,
        query_labels=labels,
        gallery_labels=other_labels,
        neighbours=columns.neighbours,
        similarities=columns.similarities,
    )


class _Columns:
    """The arrays of RetrievalResults with one entry per query; they are filled part by part."""

    def __init__(self, queries: int, kept: int) -> None:
        self.measures: dict[str, Array] = {
            name: np.zeros(queries) for name in ("ap", "ap_at_r", "r_precision")
        }
        self.measures["first_rank"] = np.zeros(queries, dtype=np.int64)
        self.measures["valid"] = np.zeros(queries, dtype=bool)
        self.neighbours = np.zeros((queries, kept), dtype=np.int64)
        self.similarities = np.zeros((queries, kept))
        self._kept = kept

    def fill(self, pair: Pair, part: slice, share: Share) -> None:
        """Measure the queries of a part."""
        counter, nearest = NegativeCounter(pair, part), Nearest(pair, part, self._kept)

        def look(tile: Tile) -> list[tuple[slice, Reached, Found | None]]:
            return [
                (
                    rows,
                    counter.look(some, rows, columns),
                    nearest.look(some, rows, columns) if self._kept else None,
                )
                for some, rows, columns in pair.sides(tile)
            ]

        tiles = share.mine(pair.tiles(part) if counter.wanted or self._kept else ())
        for found in in_threads(look, tiles, pair.codes.device):
            for rows, reached, near in found:
                counter.take(reached)
                if near:
                    nearest.take(near, rows)
        counter.beaten = share.total(counter.beaten)
        nearest.unite(share)
        self._take_measures(counter)
        index, keys = nearest.ordered()
        self.neighbours[part], self.similarities[part] = index.cpu().numpy(), keys.cpu().numpy()

    def fill_first(self, counter: ShortCounter, share: Share) -> None:
        """Measure the queries of the counter's part by their first ranks."""
        if counter.wanted:
            counter.run(share)
        self._take_measures(counter)

    def _take_measures(self, counter: NegativeCounter) -> None:
        counts = counter.positives.counts
        for name, values in _measures(counter.ranks(), counts).items():
            self.measures[name][counter.part] = values.cpu().numpy()


def _codes(labels: Array, other_labels: Array, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return whole numbers for the labels of both sides, equal where labels are equal, whatever their type."""
    _, codes = np.unique(np.concatenate([labels, other_labels]), return_inverse=True)
    numbers = torch.as_tensor(codes.reshape(-1), device=device)
    return numbers[: len(labels)], numbers[len(labels) :]


def _measures(ranks: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """Turn the ranks (P,) of all positives and their counts (B,) into measures (B,), 0 without positives."""
    query = owners(counts)
    first = counts.cumsum(0) - counts
    precision = (torch.arange(len(query), device=query.device) - first[query] + 1).double() / ranks
    within = (ranks <= counts[query]).double()
    total = counts.clamp(min=1).double()
    filled = counts > 0
    nearest = torch.zeros_like(counts)
    nearest[filled] = ranks[first[filled]]

    def mean(values: Tensor) -> Tensor:
        return torch.zeros_like(total).scatter_add_(0, query, values) / total

    return {
        "ap": mean(precision),
        "ap_at_r": mean(precision * within),
        "r_precision": mean(within),
        "first_rank": nearest,
        "valid": filled,
    }
