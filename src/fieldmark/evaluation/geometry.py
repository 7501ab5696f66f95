"""The geometry of an embedding: how many directions it uses, and how well it separates positives from negatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Array, label_array, unit_rows
from fieldmark.evaluation.bootstrap import Interval, misses, widening, with_seeds

COLLAPSED_VARIANCE = 1e-12  # a smaller total variance counts as none; that of unit vectors is at most 1
BLOCK_ELEMENTS = 2**22  # similarities held at once
JACKKNIFE_GROUPS = 50


def principal_energy(embeddings: Tensor | Array) -> Array:
    """Return (D,): which fraction of the variance the first 1, 2, ..., D principal components hold.

    These are the cumulative eigenvalues, largest first, of the covariance of the L2-normalised embeddings (N, D),
    divided by their sum. Where all embeddings are equal there is no variance; the result is then defined as 1
    everywhere. Raises ValueError for rows that are not finite.
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


def components_for(energy: Array, fraction: float = 0.9) -> int:
    """Return how many components hold at least `fraction` (0 to 1) of the energy, given cumulative `energy` (D,)."""
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction of energy must be above 0 and at most 1, it is {fraction}")
    return int(np.searchsorted(energy, fraction - 1e-9)) + 1


def components_difference(
    first: Sequence[Tensor | Array],
    second: Sequence[Tensor | Array],
    clusters: Any,
    fraction: float = 0.9,
) -> Interval:
    """Return how many more components `first` needs for `fraction` of its energy than `second`.

    Both have the embeddings (N, D) of the same pictures for each of S seeds, which are paired; a single one is the same
    for every seed. The 95 % interval over classes is the value +- 1.960 standard errors of the delete-a-group jackknife
    over `clusters` (N,). A bootstrap would be biased, because a resample in which classes are repeated uses fewer
    directions. Raises ValueError for different numbers of pictures and for fewer than two clusters.
    """
    pictures = len(first[0])
    codes = np.unique(label_array(clusters, pictures, "clusters"), return_inverse=True)[1]
    same = all(len(rows) == pictures for rows in (*first, *second))
    if not same or len(np.unique(codes)) < 2:
        raise ValueError("a difference of components needs the same pictures and at least two clusters")
    groups = codes % JACKKNIFE_GROUPS
    (left, left_out), (right, right_out) = (_components(side, groups, fraction) for side in (first, second))
    return _jackknifed(left - right, left_out - right_out)


def _components(by_seed: Sequence[Tensor | Array], groups: Array, fraction: float) -> tuple[Array, Array]:
    """Return the components of each seed, (S,), and those without each group, (S, groups)."""
    rows = [unit_rows(embeddings, "embeddings") for embeddings in by_seed]
    whole = [components_for(principal_energy(one), fraction) for one in rows]
    return np.array(whole), np.stack([_left_out_components(one, groups, fraction) for one in rows])


def _jackknifed(values: Array, left_out: Array) -> Interval:
    """Return the interval of `values` (S,) over classes and seeds from the values without each group, (S, groups)."""
    means, others = left_out.mean(axis=0), left_out.shape[1] - 1
    value = float(values.mean())
    errors = -torch.special.ndtri(torch.from_numpy(misses() / 2)).numpy()
    halves = errors * np.sqrt(others * np.var(means))
    if len(values) == 1:
        return widening(value, value - halves, value + halves)
    together = others * np.var(left_out - means, axis=1).sum() / (len(values) - 1)
    return with_seeds(values, value - halves, value + halves, float(together))


def _left_out_components(rows: Tensor, groups: Array, fraction: float) -> Array:
    """Return the components for `fraction` of the energy of unit rows (N, D), leaving out each group in turn."""
    total, second = rows.sum(dim=0), rows.T @ rows
    components = []
    for group in range(int(groups.max()) + 1):
        part = rows[torch.as_tensor(np.flatnonzero(groups == group), device=rows.device)]
        kept = len(rows) - len(part)
        mean = (total - part.sum(dim=0)) / kept
        covariance = (second - part.T @ part) / kept - mean.outer(mean)
        components.append(_fractional_components(_energy(covariance), fraction))
    return np.array(components)


def _fractional_components(energy: Array, fraction: float) -> float:
    """Return a number of components that need not be whole: where the line through `energy` reaches `fraction`.

    The line connects the points (0, 0), (1, energy[0]), (2, energy[1]), ...
    """
    return float(np.interp(fraction, np.concatenate([[0.0], energy]), np.arange(len(energy) + 1)))


@dataclass(frozen=True)
class SimilarityHistograms:
    """Counts of cosine similarities: edges (bins + 1,) from -1 to 1, positive and negative (bins,) int64."""

    edges: Array
    positive: Array
    negative: Array

    @property
    def overlap(self) -> float:
        """Common area of the two normalised histograms: from 0, separate, to 1, equal; 0 when either is empty."""
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
    """Count the cosine similarities of all pairs with equal labels (positive) and with different ones (negative).

    Without a gallery each pair of two queries counts once; with a gallery, each pair of a query and an entry of the
    gallery. Shapes and errors are as for `retrieval_metrics`.
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
        counts[0] += binned(similarity[wanted & same], bins)
        counts[1] += binned(similarity[wanted & ~same], bins)
    return SimilarityHistograms(np.linspace(-1, 1, bins + 1), counts[0], counts[1])


def binned(similarity: Array, bins: int) -> Array:
    """Count cosine similarities in so many equal bins from -1 to 1."""
    index = ((similarity + 1) * (bins / 2)).astype(np.int64)
    return np.bincount(np.clip(index, 0, bins - 1), minlength=bins)
