"""Which of two trainings is the sooner as good as fine-tuning at its end, from states kept on the way (Figure 2)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fieldmark.evaluation.bootstrap import Interval, over_seeds, resampled_means
from fieldmark.methods.frpt.evaluation.progress import Progress

Array = NDArray[np.float64]


class Reached(NamedTuple):
    """Between which two parts of its training a curve first reaches its target; of any shape, both the same."""

    earliest: Array
    latest: Array


class Lead(NamedTuple):
    """By how much of the training `ours` is the sooner, and the mean over seeds of when each is there."""

    lead: Interval
    ours: float
    theirs: float


def lead(ours: Progress, theirs: Progress) -> Lead:
    """Compare when two variants first recall as much as `theirs` does at its end, in parts of a training.

    The interval is over classes and seeds, which are paired. Not to reach it counts as the whole training. A curve
    that is there at its first state may have been so at any time before: the interval has room for both.
    """
    own, other = (_reached(progress, theirs) for progress in (ours, theirs))
    least = _interval(other.earliest - own.latest)
    most = _interval(other.latest - own.earliest)
    seeds = tuple((low + high) / 2 for low, high in zip(least.seeds, most.seeds, strict=True))
    value = (least.value + most.value) / 2
    both = Interval(value, least.low, most.high, seeds, least.lows, most.highs)
    return Lead(both, *(_mean_time(found) for found in (own, other)))


def first_reached(parts: Array, curves: Array, targets: Array) -> Reached:
    """Say when curves (..., P) at `parts` (P,) of a training first reach targets (...), linearly between two points.

    At the first point the time is known to lie between the start and that point only. A curve that does not reach its
    target has the last of `parts`.
    """
    there = curves >= targets[..., None]
    place = np.where(there.any(-1), there.argmax(-1), len(parts) - 1)
    before = np.maximum(place - 1, 0)
    low, high = (np.take_along_axis(curves, at[..., None], -1)[..., 0] for at in (before, place))
    rise = np.where(high > low, high - low, 1.0)
    part = np.clip((targets - low) / rise, 0.0, 1.0)
    between = parts[before] + part * (parts[place] - parts[before])
    latest = np.where(there.any(-1), between, parts[-1])
    return Reached(np.where(there[..., 0], 0.0, latest), latest)


def _reached(progress: Progress, judge: Progress) -> Reached:
    """Return when each seed reaches what the seed of `judge` has at its end: (S, 1 + R), measured and resampled."""
    parts = np.array(progress.steps) / progress.steps[-1]
    curves, targets = (_curves(one) for one in (progress, judge))
    return first_reached(parts, curves, targets[..., -1])


def _curves(progress: Progress) -> Array:
    """Return the recall (S, 1 + R, P): measured, and on R resamples of the classes, the same for every variant."""
    seeds, states, queries = progress.recall.shape
    rows = progress.recall.reshape(seeds * states, queries)
    values = np.concatenate([rows.mean(1, keepdims=True), resampled_means(rows, progress.clusters)], axis=1)
    return values.reshape(seeds, states, -1).transpose(0, 2, 1)


def _interval(differences: Array) -> Interval:
    """Return the interval of differences (S, 1 + R) of which the first is measured."""
    return over_seeds(differences[:, 0], differences[:, 1:])


def _mean_time(found: Reached) -> float:
    """Return the latest part of a training that was measured, mean over seeds."""
    return float(found.latest[:, 0].mean())
