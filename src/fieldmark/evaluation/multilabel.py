"""Measures of pictures with several labels: average precision per class, by frequency, with intervals.

Average precision is the mean over the positives of the precision at their score, as scikit-learn defines it: pictures
with equal scores have the same threshold, so that their order does not matter. All measures are fractions from 0 to 1.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fieldmark.evaluation.arrays import Array, checked_scores
from fieldmark.evaluation.bootstrap import Interval, over_seeds, widening
from fieldmark.longtail.frequency import HEAD, TAIL, frequency_masks

RESAMPLES = 1000
AT_ONCE = 2**20  # how often pictures are drawn, held at a time


def multilabel_map(
    scores: Any,
    targets: Any,
    class_counts: Any = None,
    *,
    names: list[str] | None = None,
    head: int = HEAD,
    tail: int = TAIL,
) -> dict[str, Any]:
    """Return `map`, `ap` (C,) and `left_out` for scores and targets (N, C); with class counts, the groups too.

    Fractions from 0 to 1; average precision is the mean over the positives of the precision at their score.
    `targets` are 0 or 1. Classes without a positive picture have no average precision: they are NaN in `ap`,
    out of every mean, and `left_out` lists them (by `names`, or by index). `class_counts` (C,) are the training
    pictures per class; `head`, `medium` and `tail` are then the means over the classes with at least `head`,
    fewer, and fewer than `tail` of them (the groups of Wu et al., ECCV 2020, arXiv 2007.09654). A mean over no
    class is NaN. Raises ValueError for shapes that differ, scores that are not finite and targets that are not 0
    or 1.

    >>> import torch
    >>> from fieldmark.evaluation import multilabel_map
    >>> scores = torch.tensor([[0.9, 0.2], [0.8, 0.7], [0.1, 0.3]])  # three pictures, two classes
    >>> targets = torch.tensor([[1, 0], [0, 0], [1, 1]])
    >>> metrics = multilabel_map(scores, targets, class_counts=[150, 5])
    >>> [round(metrics[name], 3) for name in ("map", "head", "tail")]
    [0.667, 0.833, 0.5]
    """
    values, truth = checked_scores(scores, targets)
    once = np.ones((1, len(values)), dtype=np.uint8)
    ap = np.array([ranked.average_precision(once)[0] for ranked in _by_class(values, truth)])
    empty = np.flatnonzero(np.isnan(ap)).tolist()
    groups = _groups(class_counts, values.shape[1], head, tail)
    return {
        "map": _mean(ap),
        "ap": ap,
        "left_out": [names[i] for i in empty] if names else empty,
        **{name: _mean(ap[mask]) for name, mask in groups.items()},
    }


def resampled_ap(scores: Any, targets: Any, *, resamples: int = RESAMPLES, seed: int = 0) -> Array:
    """Return the average precisions of pictures drawn with replacement, (resamples, C).

    The same seed and number of pictures give the same draws, whatever the scores are, so that two models can be
    compared draw by draw. A class is NaN in a draw that has none of its positives.
    """
    by_class = list(_by_class(*checked_scores(scores, targets)))
    pictures, rng = len(by_class[0].order), np.random.default_rng(seed)
    draws = np.empty((resamples, len(by_class)))
    step = max(AT_ONCE // pictures, 1)
    for start in range(0, resamples, step):
        block = draws[start : start + step]
        drawn = _drawn(len(block), pictures, rng)
        for column, ranked in enumerate(by_class):
            block[:, column] = ranked.average_precision(drawn)
    return draws


def map_intervals(
    scores: Any,
    targets: Any,
    class_counts: Any = None,
    *,
    head: int = HEAD,
    tail: int = TAIL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return `map` and the means over the groups that can be scored, each with its interval over resampled pictures.

    Arguments and errors are those of `multilabel_map`.
    """
    ap = multilabel_map(scores, targets)["ap"]
    draws = resampled_ap(scores, targets, resamples=resamples, seed=seed)
    return mean_intervals(ap[None], draws[None], _groups(class_counts, len(ap), head, tail))


def mean_intervals(ap: Any, draws: Any, groups: Mapping[str, Array]) -> dict[str, Interval]:
    """Return the mean over all classes (`map`) and over each of `groups`, (C,) masks, that can be scored.

    `ap` (S, C) are average precisions of the models of S seeds, or differences of two such, NaN where there is none;
    `draws` (S, resamples, C) are those of `resampled_ap`, or their differences. A positive that is drawn twice raises
    its own precision, so that the draws lie above the value, the more the rarer a class is, and their percentiles would
    be too high. Intervals are therefore basic bootstrap intervals (Davison and Hinkley 1997, section 5.2): the errors
    of the draws are subtracted from the value.
    """
    scored = ~np.isnan(ap).any(axis=0)
    masks = {"map": scored, **{name: mask & scored for name, mask in groups.items()}}
    return {name: _interval(ap[:, mask], draws[..., mask]) for name, mask in masks.items() if mask.any()}


class _Ranked:
    """The pictures in the order of their scores for one class, sorted once for many weightings.

    What is computed of a weighting is computed at the rows of the P positives and at the G `ends` alone: the last rows
    with the scores of positives.
    """

    def __init__(self, scores: Array, targets: Array, alone: bool) -> None:
        keys = -scores
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)
        self.alone = alone
        self.order = order.astype(np.int32)  # half as large
        self.hits = np.flatnonzero((targets > 0)[order])
        self.ends, self.end_of = np.unique(ends[np.searchsorted(ends, self.hits)], return_inverse=True)
        self.last_hits = np.searchsorted(self.hits, self.ends, side="right") - 1

    def average_precision(self, weights: Array) -> Array:
        """Return the average precision (D,) where picture n counts `weights[d, n]` times, whole numbers (D, N)."""
        if not len(self.hits):
            return np.full(len(weights), np.nan)
        hits = weights.take(self.order[self.hits], axis=1)
        right = hits.cumsum(axis=1)[:, self.last_hits]
        seen = weights.take(self.order, axis=1).cumsum(axis=1, dtype=np.int32)[:, self.ends]
        summed = self._sum(hits * (right / np.maximum(seen, 1)).take(self.end_of, axis=1))
        total = hits.sum(axis=1)
        ap: Array = np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)
        return ap

    def _sum(self, terms: Array) -> Array:
        """Return the sums of the terms (D, P) of the positives, added one after another.

        Where there is one class alone NumPy adds the terms of all pictures in pairs.
        """
        if self.alone:
            spread = np.zeros((len(terms), len(self.order)))
            spread[:, self.hits] = terms
            return np.asarray(spread.sum(axis=1))
        return np.asarray(terms.cumsum(axis=1)[:, -1])


def _by_class(scores: Array, targets: Array) -> Iterator[_Ranked]:
    alone = scores.shape[1] == 1
    return (_Ranked(one, true, alone) for one, true in zip(scores.T, targets.T, strict=True))


def _drawn(count: int, pictures: int, rng: np.random.Generator) -> Array:
    """Return how often each picture is drawn in each of some draws with replacement, (count, pictures)."""
    drawn = [np.bincount(rng.integers(pictures, size=pictures), minlength=pictures) for _ in range(count)]
    most = max(int(times.max()) for times in drawn)
    return np.array(drawn, dtype=np.min_scalar_type(most))  # bytes: they are looked up in another order


def _groups(class_counts: Any, classes: int, head: int, tail: int) -> Mapping[str, Array]:
    """Return masks (C,) of the classes of head, medium and tail; nothing without class counts."""
    if class_counts is None:
        return {}
    counts = np.asarray(class_counts)
    if counts.shape != (classes,):
        raise ValueError(f"class_counts must have shape ({classes},), it has {counts.shape}")
    return frequency_masks(counts, head, tail)


def _mean(ap: Array) -> float:
    scored = ap[~np.isnan(ap)]
    return float(scored.mean()) if scored.size else float("nan")


def _interval(ap: Array, draws: Array) -> Interval:
    """Return the interval of the mean of ap (S, C) from draws (S, resamples, C); it holds the mean itself."""
    present = ~np.isnan(draws[0])  # the same for every seed: it follows from the targets
    drawn = present.any(axis=1)
    means = np.where(present, draws, 0.0).sum(axis=2)[:, drawn] / present.sum(axis=1)[drawn]
    found = over_seeds([float(row.mean()) for row in ap], means, basic=True)
    lows, highs = np.minimum(found.lows, found.value), np.maximum(found.highs, found.value)
    return widening(found.value, lows, highs, found.seeds)
