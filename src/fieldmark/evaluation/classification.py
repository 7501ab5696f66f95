"""Measures of a classifier: top-k accuracy, accuracy per class and per group, calibration.

Calibration: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599), equal bins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fieldmark.evaluation.arrays import Array, float_array
from fieldmark.evaluation.bootstrap import Interval, interval

BINS = 15
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


def correct_in_top(scores: Tensor | Array, labels: Any, k: int = 1) -> Array:
    """Return (N,) booleans: whether a picture's class is among its k highest scores.

    `scores` (N, C), `labels` (N,) from 0 to C - 1. Of equal scores, the wrong class ranks first: a classifier whose
    scores are all equal must not count as right. Raises ValueError for other shapes, NaN, labels outside the classes,
    and k below 1.
    """
    array, true = _checked(scores, labels)
    if k < 1:
        raise ValueError(f"k must be at least 1, it is {k}")
    of_class = array[np.arange(len(true)), true]
    better: Array = (array >= of_class[:, None]).sum(1) - 1  # less one: the class itself is in the sum
    return better < k


def group_accuracies(correct: Any, groups: Any, clusters: Any) -> list[GroupAccuracy]:
    """Return the accuracy of every group, worst first, then by name.

    `correct` is (N,), or (S, N) of the models of S seeds; `groups` and `clusters` have shape (N,). Intervals resample
    the clusters within a group; where a group is a single cluster (a class by itself), they resample its pictures.
    """
    right, names, parts = (np.asarray(values) for values in (correct, groups, clusters))
    if not right.shape[-1:] == names.shape == parts.shape:
        raise ValueError("correct, groups and clusters must have one value a picture each")
    accuracies = []
    for name in np.unique(names):
        member = names == name
        accuracy = interval(right[..., member], parts[member])
        accuracies.append(GroupAccuracy(name.item(), accuracy, int(member.sum())))
    return sorted(accuracies, key=lambda group: (group.accuracy.value, str(group.name)))


def reliability(probabilities: Tensor | Array, labels: Any, bins: int = BINS) -> Reliability:
    """Return the reliability of the highest of the probabilities (N, C) in `bins` equal bins, open on the left.

    Raises ValueError for rows that are not probabilities, and where `correct_in_top` does.
    """
    array, true = _checked(probabilities, labels)
    if bins < 1:
        raise ValueError(f"there must be at least one bin, not {bins}")
    if array.min() < 0 or np.abs(array.sum(1) - 1).max() > SUM_TOLERANCE:
        raise ValueError("every row of probabilities must be non-negative and sum to 1")
    confidence, right = array.max(1), array.argmax(1) == true
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, confidence, bins) / counts
        accuracy = np.bincount(index, right, bins) / counts
    return Reliability(np.linspace(0, 1, bins + 1), mean_confidence, accuracy, counts)


def log_loss(probabilities: Tensor | Array, labels: Any) -> float:
    """Return the mean negative log-likelihood in nats of the true classes; a probability of 0 counts as 1e-12."""
    array, true = _checked(probabilities, labels)
    return float(-np.log(np.maximum(array[np.arange(len(true)), true], 1e-12)).mean())


def _checked(scores: Tensor | Array, labels: Any) -> tuple[Array, Array]:
    array = float_array(scores)
    true = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if array.ndim != 2 or true.shape != array.shape[:1] or not len(true):
        raise ValueError(f"scores must be (N, C) and labels (N,), they are {array.shape} and {true.shape}")
    if np.isnan(array).any():
        raise ValueError("scores hold NaN")
    if true.min() < 0 or true.max() >= array.shape[1]:
        raise ValueError(f"labels must be from 0 to {array.shape[1] - 1}")
    return array, true.astype(np.int64)
