"""Measures of pictures with several labels: average precision per class, by frequency, with intervals.

Average precision is the mean over the positives of the precision at their score, scikit-learn's definition:
pictures with equal scores share one threshold, so that their order decides nothing. All measures are
fractions between 0 and 1.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fieldmark.base.frequency import HEAD, TAIL, frequency_masks
from fieldmark.evaluation.arrays import Array, checked_scores
from fieldmark.evaluation.bootstrap import LEVEL, Interval

RESAMPLES = 1000


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
    ap = _Ranking(values, truth).average_precision(np.ones(len(values)))
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

    The same seed and number of pictures give the same draws whatever the scores, so that two models can be
    compared draw by draw. A class is NaN in a draw that holds none of its positives.
    """
    values, truth = checked_scores(scores, targets)
    ranking, rng = _Ranking(values, truth), np.random.default_rng(seed)
    pictures = len(values)
    draws = np.empty((resamples, values.shape[1]))
    for row in draws:
        drawn = np.bincount(rng.integers(pictures, size=pictures), minlength=pictures)
        row[:] = ranking.average_precision(drawn.astype(np.float64))
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
    """Return `map` and the groups with classes to score, each with its interval over resampled pictures."""
    ap = multilabel_map(scores, targets)["ap"]
    draws = resampled_ap(scores, targets, resamples=resamples, seed=seed)
    return mean_intervals(ap, draws, _groups(class_counts, len(ap), head, tail))


def map_differences(
    first: Any,
    second: Any,
    targets: Any,
    class_counts: Any = None,
    *,
    head: int = HEAD,
    tail: int = TAIL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the measures of `first` minus those of `second` with intervals, paired by picture.

    Both are scores (N, C) of the same pictures. Raises ValueError where `multilabel_map` does.
    """
    gains = multilabel_map(first, targets)["ap"] - multilabel_map(second, targets)["ap"]
    draws = resampled_ap(first, targets, resamples=resamples, seed=seed)
    draws -= resampled_ap(second, targets, resamples=resamples, seed=seed)
    return mean_intervals(gains, draws, _groups(class_counts, len(gains), head, tail))


def mean_intervals(ap: Any, draws: Any, groups: Mapping[str, Array]) -> dict[str, Interval]:
    """Return the mean over all classes (`map`) and over each of `groups`, (C,) masks, that can be scored.

    `ap` (C,) are average precisions, or differences of two models', NaN where there is none; `draws`
    (resamples, C) are those of `resampled_ap`, or their differences. Intervals are basic ones (Davison and Hinkley
    1997, section 5.2): a positive drawn twice helps itself, so draws lie above the value, all the more the rarer the
    class. Percentiles of the draws would be as much too high; here the draws' errors are taken off the value.
    """
    scored = ~np.isnan(ap)
    masks = {"map": scored, **{name: mask & scored for name, mask in groups.items()}}
    return {name: _interval(ap[mask], draws[:, mask]) for name, mask in masks.items() if mask.any()}


class _Ranking:
    """Pictures of every class in the order of their scores, (N, C), sorted once for many weightings."""

    def __init__(self, scores: Array, targets: Array) -> None:
        self.order = np.argsort(-scores, axis=0, kind="stable")
        ordered = np.take_along_axis(scores, self.order, axis=0)
        self.positive = np.take_along_axis(targets, self.order, axis=0)
        rows = len(scores)
        ends = np.ones_like(ordered, dtype=bool)
        ends[:-1] = ordered[:-1] != ordered[1:]
        # The index of the last row with the same score, for every row.
        last = np.where(ends, np.arange(rows)[:, None], rows - 1)
        self.last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
        self.tied = not bool(ends.all())

    def average_precision(self, weights: Array) -> Array:
        """Return the average precision of each class, (C,), where picture n counts `weights[n]` times."""
        weight = weights[self.order]
        hits = weight * self.positive
        right, seen = hits.cumsum(axis=0), weight.cumsum(axis=0)
        precision = right / np.maximum(seen, 1e-300)
        if self.tied:
            precision = np.take_along_axis(precision, self.last, axis=0)
        total = right[-1]
        summed = (hits * precision).sum(axis=0)
        ap: Array = np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)
        return ap


def _groups(class_counts: Any, classes: int, head: int, tail: int) -> Mapping[str, Array]:
    """Return which classes are of the head, the medium and the tail, each (C,); nothing without class counts."""
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
    present = ~np.isnan(draws)
    drawn = present.any(axis=1)
    means = np.where(present, draws, 0.0).sum(axis=1)[drawn] / present.sum(axis=1)[drawn]
    value = float(ap.mean())
    low, high = 2 * value - np.quantile(means, [(1 + LEVEL) / 2, (1 - LEVEL) / 2])
    return Interval(value, min(float(low), value), max(float(high), value))
