"""Measures of a classifier: top-k accuracy, accuracy per class and per group, calibration.

Calibration: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599), equal bins.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Array, float_array
from fieldmark.evaluation.bootstrap import Interval, interval

BINS = 15
AT_ONCE = 2**22  # scores that are held in float64 at a time
SUM_TOLERANCE = 1e-3  # how far the sum of a row of probabilities may be from 1


@dataclass(frozen=True)
class GroupAccuracy:
    """The accuracy of one class or group with its interval, over `count` pictures."""

    name: Any
    accuracy: Interval
    count: int


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in equal bins of confidence.

    `edges` (bins + 1,); `confidence` and `accuracy` (bins,) are means, NaN in an empty bin; `counts` (bins,).
    """

    edges: Array
    confidence: Array
    accuracy: Array
    counts: Array

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1: the mean of |confidence - accuracy|, weighted by the counts."""
        gaps = np.abs(np.nan_to_num(self.confidence - self.accuracy))
        return float((gaps * self.counts).sum() / self.counts.sum())


@dataclass(frozen=True)
class Stated:
    """What the probabilities of a classifier say of each of N pictures, all (N,).

    `own` is the probability of the picture's class, `highest` that of the likeliest class, and `right` says whether
    these are the same class.
    """

    own: Array
    highest: Array
    right: Array


def correct_in_top(scores: Tensor | Array, labels: Any, k: int = 1) -> Array:
    """Return (N,) booleans: whether a picture's class is among its k highest scores.

    `scores` (N, C), `labels` (N,) from 0 to C - 1. Of equal scores, the wrong class ranks first: a classifier whose
    scores are all equal must not count as right. Raises ValueError for other shapes, NaN, labels outside the classes,
    and k below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, it is {k}")
    found = []
    for part, true in _parts(scores, labels):
        of_class = part[np.arange(len(true)), true]
        found.append((part >= of_class[:, None]).sum(1) - 1 < k)  # less one: the class itself is in the sum
    return np.concatenate(found)


def stated(scores: Tensor | Array, labels: Any, *, softmax: bool = False) -> Stated:
    """Return what probabilities (N, C) say of each picture, few rows of them in float64 at a time.

    With `softmax` the scores are logits. Raises ValueError for rows that are not probabilities, and where
    `correct_in_top` does.
    """
    found = []
    for part, true in _parts(scores, labels):
        rows = torch.from_numpy(part).softmax(1).numpy() if softmax else part
        if not (rows.min() >= 0 and np.abs(rows.sum(1) - 1).max() <= SUM_TOLERANCE):
            raise ValueError("every row of probabilities must be non-negative and sum to 1")
        found.append((rows[np.arange(len(true)), true], rows.max(1), rows.argmax(1) == true))
    return Stated(*(np.concatenate(values) for values in zip(*found, strict=True)))


def group_accuracies(correct: Any, groups: Any, clusters: Any) -> list[GroupAccuracy]:
    """Return the accuracy of every group, worst first, then by name.

    `correct` is (N,), or (S, N) of the models of S seeds; `groups` and `clusters` have shape (N,). Intervals resample
    the clusters within a group; where a group is a single cluster (a class by itself), they resample its pictures.
    """
    right, names, parts = (np.asarray(values) for values in (correct, groups, clusters))
    if not right.shape[-1:] == names.shape == parts.shape:
        raise ValueError("correct, groups and clusters must have one value a picture each")
    found, codes = np.unique(names, return_inverse=True)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    accuracies = [
        GroupAccuracy(name.item(), interval(right[..., member], parts[member]), len(member))
        for name, member in zip(found, members, strict=True)
    ]
    return sorted(accuracies, key=lambda group: (group.accuracy.value, str(group.name)))


def reliability(said: Stated, bins: int = BINS) -> Reliability:
    """Return the reliability of the highest probabilities in `bins` equal bins, open on the left.

    Raises ValueError for less than one bin.
    """
    if bins < 1:
        raise ValueError(f"there must be at least one bin, not {bins}")
    confidence, right = said.highest, said.right
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, confidence, bins) / counts
        accuracy = np.bincount(index, right, bins) / counts
    return Reliability(np.linspace(0, 1, bins + 1), mean_confidence, accuracy, counts)


def log_loss(said: Stated) -> float:
    """Return the mean negative log-likelihood in nats of the true classes; a probability of 0 counts as 1e-12."""
    return float(-np.log(np.maximum(said.own, 1e-12)).mean())


def _parts(scores: Tensor | Array, labels: Any) -> Iterator[tuple[Array, Array]]:
    """Yield rows of scores (N, C) in float64 with their labels, some at a time."""
    rows = scores if isinstance(scores, Tensor) else np.asarray(scores)
    true = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    _check(tuple(rows.shape), true)
    step = max(AT_ONCE // rows.shape[1], 1)
    for start in range(0, len(true), step):
        part = float_array(rows[start : start + step])
        if np.isnan(part).any():
            raise ValueError("scores hold NaN")
        yield part, true[start : start + step].astype(np.int64)


def _check(shape: tuple[int, ...], labels: Array) -> None:
    if len(shape) != 2 or labels.shape != shape[:1] or not len(labels):
        raise ValueError(f"scores must be (N, C) and labels (N,), they are {shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= shape[1]:
        raise ValueError(f"labels must be from 0 to {shape[1] - 1}")
