"""From probabilities to decisions: thresholds chosen on validation pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_POSITIVES = 5  # with fewer, the best threshold of a single category is chance

Array = NDArray[Any]


def choose_thresholds(scores: Any, targets: Array, min_positives: int = MIN_POSITIVES) -> Array:
    """Return one threshold per category, (C,): a category is present where its score is no less.

    `scores` and `targets` are (N, C). A category with at least `min_positives` positives takes the threshold of
    its greatest F1, any other category the threshold of the greatest F1 over all entries. Raises ValueError
    without a positive.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(targets) > 0
    common = best_threshold(values.ravel(), truth.ravel())
    enough = truth.sum(axis=0) >= min_positives
    columns = zip(values.T, truth.T, enough, strict=True)
    return np.array([best_threshold(score, true) if many else common for score, true, many in columns])


def best_threshold(scores: Array, targets: Array) -> float:
    """Return the threshold of the greatest F1 for scores and targets (N,), the highest of equals.

    It lies midway between the last score taken and the first one refused. Raises ValueError without a positive.
    """
    if not targets.any():
        raise ValueError("a threshold needs a positive to be chosen by")
    order = np.argsort(-scores, kind="stable")
    values, hits = scores[order], np.cumsum(targets[order])
    f1 = 2 * hits / (np.arange(1, len(values) + 1) + hits[-1])
    complete = np.append(values[1:] < values[:-1], True)  # of equal scores all are taken or none
    best = int(np.argmax(np.where(complete, f1, -1.0)))
    below = values[best + 1] if best + 1 < len(values) else values[best]
    return float((values[best] + below) / 2)
