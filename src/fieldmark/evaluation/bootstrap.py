"""Confidence intervals by resampling classes, and over several training seeds.

Queries of one class tend to succeed or fail together, so they are not independent. The cluster bootstrap therefore
draws whole classes with replacement (A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8) and takes the mean over all queries of the drawn classes.

A model trained from another seed gives other numbers on the same classes (X. Bouthillier et al., Accounting for
Variance in Machine Learning Benchmarks, MLSys 2021, arXiv 2103.03098). With S seeds the value is the mean over them,
and its variance has two parts, since classes and seeds are crossed (S. R. Searle et al., Variance Components, 1992,
chapter 4): that of the classes, which the bootstrap of the mean over seeds has, and that of the seeds, s^2 / S, where
s^2 is the variance of the S values. What classes and seeds do together would be in both, and is taken out of the
second. To resample a few seeds would give too small a variance, by (S - 1) / S, and a normal quantile where Student's
t belongs. Hence the half-widths of two intervals, the bootstrap's over classes and Student's over seeds, are combined
as the root of the sum of their squares (G. Y. Zou and A. Donner, Statistics in Medicine 27, 2008).

Of twenty intervals one misses by chance. Who decides several things at once needs wider ones: an interval carries
those that miss with 5 % / m as well, for m = 1, 2, ... (see `results.claims`).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fieldmark.evaluation.arrays import Array

RESAMPLES = 2000
LEVEL = 0.95
TOGETHER = np.arange(1, 41)  # so many decisions may be taken at once
DRAWS_AT_ONCE = 2**21  # bounds the memory


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; where it is one over several seeds, also the value of each.

    lows, highs (M,): the intervals that miss with 5 % / m for m from 1 to M, of which the first is `low` to `high`.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...] = ()
    lows: tuple[float, ...] = field(default=(), repr=False, compare=False)
    highs: tuple[float, ...] = field(default=(), repr=False, compare=False)

    def minus(self, number: float) -> "Interval":
        """Return the interval of what is measured from `number` on."""
        seeds, lows, highs = (
            tuple(value - number for value in values) for values in (self.seeds, self.lows, self.highs)
        )
        return Interval(self.value - number, self.low - number, self.high - number, seeds, lows, highs)


def interval(values: Any, clusters: Any, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the mean of `values` with its 95 % percentile interval over resampled clusters.

    `values` are (N,), or (S, N) measured of the models of S seeds: then the interval is over classes and seeds.
    `clusters` (N,) names the class of each value. When all values have the same class, the values themselves are
    resampled. The same seed and clusters give the same resamples, whatever the values are. Raises ValueError for no
    values, values that are not finite, and shapes that differ.
    """
    rows, _ = _checked(values, clusters)
    draws = resampled_means(rows, clusters, resamples=resamples, seed=seed)
    return over_seeds([float(row.mean()) for row in rows], draws)


def resampled_means(values: Any, clusters: Any, *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Return (S, resamples) means of `values` (S, N) over resampled clusters, the same resamples for every row.

    Arguments and errors are those of `interval`: for an interval of what is no mean itself, but follows from means.
    """
    rows, codes = _checked(values, clusters)
    counts = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, weights=row) for row in rows])
    return _resampled_means(sums, counts[None], resamples, np.random.default_rng(seed))


def paired_difference(
    first: Any, second: Any, clusters: Any, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return mean(first - second) with its interval; both (N,) or (S, N) are measured on the same queries.

    Seeds are paired too: the i-th of `first` with the i-th of `second`. What has a single row is the same for every
    seed. `clusters` and the errors are as in `interval`.
    """
    left, right = (np.atleast_2d(np.asarray(side, dtype=np.float64)) for side in (first, second))
    if left.shape[1:] != right.shape[1:] or len({len(left), len(right)} - {1}) > 1:
        raise ValueError(
            f"a paired difference needs the same queries and seeds, shapes are {left.shape} and {right.shape}"
        )
    return interval(left - right, clusters, resamples=resamples, seed=seed)


def ratio_interval(parts: Any, wholes: Any, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return sum(parts) / sum(wholes) with its interval over clusters; both (S, C) are counts by seed and cluster.

    A cluster without a count for any seed is left out. Raises ValueError when a seed has no count.
    """
    numerators, denominators = (np.asarray(side, dtype=np.float64) for side in (parts, wholes))
    used = denominators.any(axis=0)
    numerators, denominators = numerators[:, used], denominators[:, used]
    totals = denominators.sum(axis=1)
    if not len(totals) or not totals.all():
        raise ValueError("an interval needs at least one count for each seed")
    draws = _resampled_means(numerators, denominators, resamples, np.random.default_rng(seed))
    return over_seeds(numerators.sum(axis=1) / totals, draws)


def over_seeds(values: Any, draws: Array, *, basic: bool = False) -> Interval:
    """Return the mean of `values` (S,) over seeds with its 95 % interval over classes and seeds.

    `draws` (S, R) are the values on R resamples of the classes (or pictures), the same resamples for each seed; NaN
    where a resample has no value. A single seed has the percentile interval of its draws, or with `basic` the basic
    one: the errors of the draws subtracted from the value (Davison and Hinkley 1997, section 5.2).
    """
    by_seed = np.asarray(values, dtype=np.float64)
    value, means = float(by_seed.mean()), draws.mean(axis=0)
    lows, highs = np.nanquantile(means, [misses() / 2, 1 - misses() / 2])
    if basic:
        lows, highs = 2 * value - highs, 2 * value - lows
    if len(by_seed) == 1:
        return widening(value, lows, highs)
    together = np.nanvar(draws - means, axis=1).sum() / (len(by_seed) - 1)
    return with_seeds(by_seed, lows, highs, float(together))


def misses() -> Array:
    """Return the parts (M,) of cases in which the intervals of M decisions may miss, from 5 % on."""
    parts: Array = (1 - LEVEL) / TOGETHER
    return parts


def widening(value: float, lows: Array, highs: Array, seeds: tuple[float, ...] = ()) -> Interval:
    """Return the interval of a value with its wider ones, lows and highs (M,)."""
    low, high = (tuple(side.tolist()) for side in (lows, highs))
    return Interval(value, low[0], high[0], seeds, low, high)


def with_seeds(values: Array, lows: Array, highs: Array, together: float) -> Interval:
    """Widen intervals over classes, lows to highs (M,) around the mean of `values` (S,), by the variance over seeds.

    `together` is the part of that variance which the classes have, as they differ from seed to seed: it is in the
    interval already.
    """
    from scipy.stats import t  # takes a second to import: a single seed does without

    seeds, value = len(values), float(values.mean())
    raw = values.var(ddof=1) / seeds
    added = t.ppf(1 - misses() / 2, seeds - 1) * np.sqrt(max(raw - together / seeds, 0.0))
    below, above = (np.hypot(side, added) for side in (value - lows, highs - value))
    return widening(value, value - below, value + above, tuple(values.tolist()))


def _checked(values: Any, clusters: Any) -> tuple[Array, Array]:
    rows: Array = np.asarray(values, dtype=np.float64)
    names: Array = np.asarray(clusters)
    if rows.ndim not in (1, 2) or rows.shape[-1:] != names.shape:
        raise ValueError(
            f"values must have shape (N,) or (S, N) and clusters (N,), they have {rows.shape}, {names.shape}"
        )
    if rows.size == 0 or not np.isfinite(rows).all():
        raise ValueError("an interval needs at least one value, and finite ones")
    codes: Array = np.unique(names, return_inverse=True)[1]
    return np.atleast_2d(rows), codes if codes.max() > 0 else np.arange(names.size)


def _resampled_means(sums: Array, counts: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Return (S, resamples) means over clusters drawn with replacement, from cluster sums and counts (S or 1, C)."""
    means = np.empty((len(sums), resamples))
    clusters = sums.shape[1]
    step = max(DRAWS_AT_ONCE // clusters, 1)
    for start in range(0, resamples, step):
        block = means[:, start : start + step]
        drawn = rng.integers(clusters, size=(block.shape[1], clusters))
        for row, own, whole in zip(block, sums, np.broadcast_to(counts, sums.shape), strict=True):
            row[:] = own[drawn].sum(axis=1) / whole[drawn].sum(axis=1)
    return means
