"""Confidence intervals by resampling classes.

Queries of one class tend to succeed or fail together, so they are not independent. The cluster bootstrap therefore
draws whole classes with replacement (A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8) and takes the mean over all queries of the drawn classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from fieldmark.evaluation.arrays import Array

RESAMPLES = 2000
LEVEL = 0.95
DRAWS_AT_ONCE = 2**21  # bounds the memory


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


def interval(values: Any, clusters: Any, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the mean of `values` (N,) with its 95 % percentile interval over resampled clusters.

    `clusters` (N,) names the class of each value. When all values have the same class, the values themselves are
    resampled. The same seed and clusters give the same resamples, whatever the values are. Raises ValueError for no
    values, values that are not finite, and shapes that differ.
    """
    array, codes = _checked(values, clusters)
    counts = np.bincount(codes).astype(np.float64)
    sums = np.bincount(codes, weights=array)
    means = _resampled_means(sums, counts, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(array.mean()), float(low), float(high))


def paired_difference(
    first: Any, second: Any, clusters: Any, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return mean(first - second) with its interval; both (N,) are measured on the same queries.

    `clusters` and the errors are as in `interval`.
    """
    left, right = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(
            f"a paired difference needs the same queries, shapes are {left.shape} and {right.shape}"
        )
    return interval(left - right, clusters, resamples=resamples, seed=seed)


def _checked(values: Any, clusters: Any) -> tuple[Array, Array]:
    array: Array = np.asarray(values, dtype=np.float64)
    names: Array = np.asarray(clusters)
    if array.ndim != 1 or array.shape != names.shape:
        raise ValueError(
            f"values and clusters must both have shape (N,), they have {array.shape}, {names.shape}"
        )
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError("an interval needs at least one value, and finite ones")
    codes: Array = np.unique(names, return_inverse=True)[1]
    return array, codes if codes.max() > 0 else np.arange(array.size)


def _resampled_means(sums: Array, counts: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Return (resamples,) means over clusters drawn with replacement, from cluster sums and counts (C,)."""
    means = np.empty(resamples)
    step = max(DRAWS_AT_ONCE // len(sums), 1)
    for start in range(0, resamples, step):
        block = means[start : start + step]
        drawn = rng.integers(len(sums), size=(len(block), len(sums)))
        block[:] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means
