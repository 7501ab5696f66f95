"""Measures of dense prediction: intersection over union of every class, with intervals over pictures.

The score of a set of pictures is computed from the pixel counts of all of them together (M. Everingham et al., The
PASCAL Visual Object Classes Challenge, IJCV 2010, section 4.2); it is not the mean of scores per picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import RESAMPLES, Interval, over_seeds

NO_LABEL = 255
DRAWS_AT_ONCE = 2**22  # bounds the memory


def mean_iou(
    prediction: Tensor | Array, target: Tensor | Array, classes: int, ignore_index: int = NO_LABEL
) -> dict[str, Any]:
    """Return `miou`, `iou` (C,), `pixel_accuracy` and `absent`, the classes that neither side holds.

    Fractions from 0 to 1. Intersection over union is that of the pixels of all pictures together (Everingham et al.,
    The PASCAL Visual Object Classes Challenge, IJCV 2010, section 4.2). `prediction` and `target` are whole numbers
    of one shape, whatever it is: one picture or many. Pixels whose target is `ignore_index` count nowhere. The IoU
    of an absent class is NaN and stays out of `miou`; a class that is predicted but nowhere true has IoU 0. Without
    a counted pixel all is NaN. Raises ValueError for shapes that differ and for labels outside 0..classes-1.

    >>> import torch
    >>> from fieldmark.evaluation import mean_iou
    >>> prediction, target = torch.tensor([[0, 0], [1, 1]]), torch.tensor([[0, 1], [1, 255]])
    >>> scores = mean_iou(prediction, target, classes=2)
    >>> scores["miou"], scores["iou"].tolist(), round(scores["pixel_accuracy"], 3)
    (0.5, [0.5, 0.5], 0.667)
    """
    overlaps = Overlaps.of([confusion_matrix(prediction, target, classes, ignore_index)])
    return {
        "miou": overlaps.miou,
        "iou": overlaps.iou,
        "pixel_accuracy": overlaps.pixel_accuracy,
        "absent": overlaps.absent,
    }


def confusion_matrix(
    prediction: Tensor | Array, target: Tensor | Array, classes: int, ignore_index: int = NO_LABEL
) -> Array:
    """Count pixels by (true class, predicted class): (C, C) int64. Arguments and errors as in `mean_iou`."""
    guess, truth = _labels(prediction), _labels(target)
    if guess.shape != truth.shape:
        raise ValueError(f"prediction and target have shapes {tuple(guess.shape)} and {tuple(truth.shape)}")
    counted = truth != ignore_index
    guess, truth = guess[counted].long(), truth[counted].long()
    _check_labels(guess, "prediction", classes)
    _check_labels(truth, "target", classes)
    counts = torch.bincount(truth * classes + guess, minlength=classes * classes)
    matrix: Array = counts.view(classes, classes).numpy()
    return matrix


@dataclass(frozen=True)
class Overlaps:
    """Pixel counts per picture and class, each (N, C): predicted and true (`both`), `predicted`, and `true`."""

    both: Array
    predicted: Array
    true: Array

    @classmethod
    def of(cls, confusions: Any) -> "Overlaps":
        """Take the counts from one confusion matrix (C, C) per picture. Raises ValueError without any."""
        matrices = np.asarray(confusions)
        if matrices.ndim != 3 or not len(matrices):
            raise ValueError(f"confusion matrices must have shape (N, C, C), they have {matrices.shape}")
        return cls(np.diagonal(matrices, axis1=1, axis2=2).copy(), matrices.sum(1), matrices.sum(2))

    @cached_property
    def iou(self) -> Array:
        """IoU of each class over all pictures, (C,); NaN for an absent class."""
        ratios: Array = _iou(*(counts.sum(0, dtype=np.float64) for counts in self._counts))
        return ratios

    @property
    def absent(self) -> list[int]:
        """Classes that are neither true nor predicted in any picture."""
        return [int(index) for index in np.flatnonzero(np.isnan(self.iou))]

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that are not absent; NaN when all are."""
        return float(_mean(self.iou))

    @property
    def pixel_accuracy(self) -> float:
        """Fraction of the counted pixels whose class is right; NaN without any."""
        pixels = self.true.sum()
        return float(self.both.sum() / pixels) if pixels else float("nan")

    @property
    def _counts(self) -> tuple[Array, Array, Array]:
        return self.both, self.predicted, self.true


def miou_interval(by_seed: Sequence[Overlaps], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return the mIoU of the models of one or several seeds, with its interval over pictures and seeds.

    Raises ValueError when no pixel counts.
    """
    return _interval(*_scored(by_seed, resamples, seed))


def miou_difference(
    first: Sequence[Overlaps], second: Sequence[Overlaps], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the mIoU of `first` minus that of `second` with its interval: both see the same resamples.

    Seeds are paired: the i-th of `first` with the i-th of `second`; a single one is the same for every seed. Raises
    ValueError when the two were not scored on the same pictures.
    """
    if not all(np.array_equal(first[0].true, overlaps.true) for overlaps in (*first, *second)):
        raise ValueError("a paired difference needs the same pictures on both sides")
    (left, left_drawn), (right, right_drawn) = (_scored(side, resamples, seed) for side in (first, second))
    return _interval(left - right, left_drawn - right_drawn)


def _scored(by_seed: Sequence[Overlaps], resamples: int, seed: int) -> tuple[Array, Array]:
    """Return the mIoU of each seed, (S,), and of each of its resamples, (S, resamples)."""
    drawn = [_resampled(overlaps, resamples, seed) for overlaps in by_seed]
    return np.array([overlaps.miou for overlaps in by_seed]), np.stack(drawn)


def _interval(values: Array, drawn: Array) -> Interval:
    if not np.isfinite(values).all():
        raise ValueError("an interval needs at least one labelled pixel")
    return over_seeds(values, drawn)


def _resampled(overlaps: Overlaps, resamples: int, seed: int) -> Array:
    """Return the mIoU of each resample, (resamples,); the same seed draws the same pictures."""
    pictures = len(overlaps.true)
    rng = np.random.default_rng(seed)
    counts = [pixels.astype(np.float64) for pixels in overlaps._counts]
    drawn = np.empty(resamples)
    step = max(DRAWS_AT_ONCE // pictures, 1)
    for start in range(0, resamples, step):
        block = drawn[start : start + step]
        times = rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=len(block)).astype(np.float64)
        block[:] = _mean(_iou(*(times @ pixels for pixels in counts)))
    return drawn


def _iou(both: Array, predicted: Array, true: Array) -> Array:
    union = predicted + true - both
    ratios: Array = np.divide(both, union, out=np.full(union.shape, np.nan), where=union > 0)
    return ratios


def _mean(ratios: Array) -> Array:
    """Return the mean over the last axis without NaN values; NaN where all are."""
    there = ~np.isnan(ratios)
    count = there.sum(-1)
    total = np.where(there, ratios, 0.0).sum(-1)
    mean: Array = np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)
    return mean


def _labels(values: Tensor | Array) -> Tensor:
    """Return a tensor on the CPU; an array is copied, since arrays from the store are read-only."""
    return values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))


def _check_labels(labels: Tensor, name: str, classes: int) -> None:
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise ValueError(
            f"{name} holds labels from {int(labels.min())} to {int(labels.max())}; "
            f"they must lie in 0 to {classes - 1}"
        )
