"""From scores to decisions: precision and recall with thresholds."""

from typing import Any

import numpy as np

from fieldmark.evaluation.arrays import Array, checked_scores


def label_scores(scores: Any, targets: Any, thresholds: Any = 0.5) -> dict[str, float]:
    """Return overall and per-class precision, recall and F1: `op`, `or`, `of1`, `cp`, `cr`, `cf1`.

    A class is predicted where its score (N, C) is at least its threshold; `thresholds` is one number, or one per class
    (C,). The overall measures pool all decisions. The per-class measures are means over the classes that occur, and
    their F1 is that of the two means (Wang et al., CNN-RNN, CVPR 2016). Without a positive decision the precision is
    0. Raises ValueError where `multilabel_map` does, and for thresholds of another shape.
    """
    values, truth = checked_scores(scores, targets)
    limits = np.asarray(thresholds, dtype=np.float64)
    if limits.shape not in ((), (values.shape[1],)) or np.isnan(limits).any():
        raise ValueError(f"thresholds must be one number or ({values.shape[1]},) numbers, not {limits.shape}")
    predicted = values >= limits
    hits, predicted_counts, present = (
        (predicted & (truth > 0)).sum(axis=0),
        predicted.sum(axis=0),
        truth.sum(axis=0),
    )
    occurs = present > 0
    precision, recall = _ratio(hits, predicted_counts)[occurs], _ratio(hits, present)[occurs]
    overall = (float(_ratio(hits.sum(), predicted_counts.sum())), float(_ratio(hits.sum(), present.sum())))
    by_class = (float(precision.mean()), float(recall.mean())) if occurs.any() else (0.0, 0.0)
    return {
        **dict(zip(("op", "or", "of1"), (*overall, _f1(*overall)), strict=True)),
        **dict(zip(("cp", "cr", "cf1"), (*by_class, _f1(*by_class)), strict=True)),
    }


def _ratio(part: Any, whole: Any) -> Array:
    ratio: Array = np.asarray(part, dtype=np.float64) / np.maximum(whole, 1)
    return ratio


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
