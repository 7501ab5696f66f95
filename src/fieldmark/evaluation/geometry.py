"""The geometry of an embedding: how many directions it uses and how far it parts positives from negatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Array, label_array, unit_rows
from fieldmark.evaluation.bootstrap import Interval

COLLAPSED_VARIANCE = 1e-12  # of unit vectors, whose total variance is at most 1
BLOCK_ELEMENTS = 2**22
JACKKNIFE_GROUPS = 50


def principal_energy(embeddings: Tensor | Array) -> Array:
    """Return (D,) the cumulative fraction of the variance of the first 1..D principal components.

    Eigenvalues of the centred covariance of the L2-normalised (N, D) embeddings, largest first, over their
    sum. Embeddings that all coincide have no variance; theirs is defined as 1 everywhere.
    Raises ValueError for rows that are not finite.
    """
    rows = unit_rows(embeddings, "embeddings")
    if len(rows) == 0:
        return np.ones(rows.shape[1])
    centred = rows - rows.mean(dim=0)
    return _energy(centred.T @ centred / len(rows))


def _energy(covariance: Tensor) -> Array:
    """Return (D,) the cumulative fraction of the eigenvalues of a covariance (D, D), largest first."""
    if float(covariance.trace()) <= COLLAPSED_VARIANCE:
        return np.ones(len(covariance))
    eigenvalues = torch.linalg.eigvalsh(covariance.cpu()).flip(0).clamp(min=0)
    energy: Array = (eigenvalues.cumsum(0) / eigenvalues.sum()).numpy()
    return energy


def components_for(energy: Array, share: float = 0.9) -> int:
    """Return how many components hold at least `share` (0 to 1) of the cumulative `energy` (D,)."""
    if not 0 < share <= 1:
        raise ValueError(f"share of energy must be above 0 and at most 1, it is {share}")
    return int(np.searchsorted(energy, share - 1e-9)) + 1


def components_difference(
    first: Tensor | Array, second: Tensor | Array, clusters: Any, share: float = 0.9
) -> Interval:
    """Return how many more components `first` (N, D1) needs for `share` of its energy than `second` (N, D2).

    Both embed the same pictures. The 95 % interval is the value -+ 1.96 standard errors of the delete-a-group
    jackknife over `clusters` (N,): a bootstrap would be biased, as repeated classes hide directions.
    Raises ValueError for other pictures or fewer than two clusters.
    """
    rows = [unit_rows(first, "first"), unit_rows(second, "second")]
    codes = np.unique(label_array(clusters, len(rows[0]), "clusters"), return_inverse=True)[1]
    if len(rows[0]) != len(rows[1]) or len(np.unique(codes)) < 2:
        raise ValueError("a difference of components needs the same pictures and at least two clusters")
    groups = codes % JACKKNIFE_GROUPS
    left_out = _left_out_components(rows[0], groups, share) - _left_out_components(rows[1], groups, share)
    half = 1.96 * float(np.sqrt((len(left_out) - 1) * np.var(left_out)))
    value = components_for(principal_energy(rows[0]), share) - components_for(
        principal_energy(rows[1]), share
    )
    return Interval(value, value - half, value + half)


def _left_out_components(rows: Tensor, groups: Array, share: float) -> Array:
    """Return the (fractional) components for `share` of unit rows (N, D) without each group in turn."""
    total, second = rows.sum(dim=0), rows.T @ rows
    components = []
    for group in range(int(groups.max()) + 1):
        part = rows[torch.as_tensor(np.flatnonzero(groups == group), device=rows.device)]
        kept = len(rows) - len(part)
        mean = (total - part.sum(dim=0)) / kept
        covariance = (second - part.T @ part) / kept - mean.outer(mean)
        components.append(_fractional_components(_energy(covariance), share))
    return np.array(components)


def _fractional_components(energy: Array, share: float) -> float:
    """Return where the polygon through (0, 0), (1, energy[0]), ... reaches `share`: a smooth count."""
    return float(np.interp(share, np.concatenate([[0.0], energy]), np.arange(len(energy) + 1)))


@dataclass(frozen=True)
class SimilarityHistograms:
    """Counts of cosine similarities: edges (bins + 1,) from -1 to 1, positive and negative (bins,) int64."""

    edges: Array
    positive: Array
    negative: Array

    @property
    def overlap(self) -> float:
        """Common area of the two normalised histograms: 0 parted, 1 alike; 0 when either is empty."""
        if not (self.positive.sum() and self.negative.sum()):
            return 0.0
        fractions = self.positive / self.positive.sum(), self.negative / self.negative.sum()
        return float(np.minimum(*fractions).sum())


def similarity_histograms(
    queries: Tensor | Array,
    query_labels: Tensor | Array | Sequence[int],
    gallery: Tensor | Array | None = None,
    gallery_labels: Tensor | Array | Sequence[int] | None = None,
    bins: int = 100,
) -> SimilarityHistograms:
    """Count the cosine similarity of every pair of equal and of different label.

    Without a gallery each unordered pair of different queries counts once; with one, each (query, gallery)
    pair. Shapes and errors as for `retrieval_metrics`.
    """
    rows = unit_rows(queries, "queries")
    labels = label_array(query_labels, len(rows), "query_labels")
    others = rows if gallery is None else unit_rows(gallery, "gallery").to(rows.device)
    other_labels = labels if gallery is None else label_array(gallery_labels, len(others), "gallery_labels")
    counts = np.zeros((2, bins), dtype=np.int64)
    step = max(BLOCK_ELEMENTS // max(len(others), 1), 1)
    for start in range(0, len(rows), step):
        similarity = (rows[start : start + step] @ others.T).cpu().numpy()
        same = labels[start : start + step, None] == other_labels[None, :]
        wanted = np.ones_like(same) if gallery is not None else np.triu(np.ones_like(same), k=start + 1)
        counts[0] += _binned(similarity[wanted & same], bins)
        counts[1] += _binned(similarity[wanted & ~same], bins)
    return SimilarityHistograms(np.linspace(-1, 1, bins + 1), counts[0], counts[1])


def _binned(similarity: Array, bins: int) -> Array:
    position = ((similarity + 1) * (bins / 2)).astype(np.int64)
    return np.bincount(np.clip(position, 0, bins - 1), minlength=bins)
