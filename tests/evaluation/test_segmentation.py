"""Intersection over union against loops over pixels, and its intervals against resampling by hand."""

import numpy as np
import pytest
import torch

from fieldmark.evaluation import mean_iou
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.evaluation.segmentation import (
    Overlaps,
    confusion_matrix,
    miou_difference,
    miou_interval,
)

RNG = np.random.default_rng(0)


def slow_iou(prediction, target, classes, ignore=255):
    """One class at a time, one pixel at a time."""
    ratios = []
    for label in range(classes):
        both = either = 0
        for guess, truth in zip(prediction.ravel().tolist(), target.ravel().tolist(), strict=True):
            if truth == ignore:
                continue
            both += guess == label and truth == label
            either += guess == label or truth == label
        ratios.append(both / either if either else float("nan"))
    return ratios


@pytest.mark.parametrize("shape", [(7,), (5, 6), (3, 8, 9)])
@pytest.mark.parametrize("ignore", [255, 3])
def test_equals_a_loop_over_pixels(shape, ignore):
    target = RNG.integers(0, 5, shape)
    target[RNG.random(shape) < 0.2] = ignore
    prediction = RNG.integers(0, 3, shape)  # some classes are never predicted
    found = mean_iou(torch.from_numpy(prediction), target.astype(np.uint8), 6, ignore_index=ignore)
    expected = slow_iou(prediction, target, 6, ignore)
    np.testing.assert_allclose(found["iou"], expected)
    assert found["miou"] == pytest.approx(np.nanmean(expected))
    counted = target != ignore
    assert found["pixel_accuracy"] == pytest.approx((prediction == target)[counted].mean())
    assert found["absent"] == [label for label in range(6) if np.isnan(expected[label])]


def test_by_hand():
    target = [[0, 0, 1], [1, 1, 255]]
    prediction = [[0, 1, 1], [1, 2, 2]]
    found = mean_iou(np.array(prediction), np.array(target), 4)
    np.testing.assert_allclose(found["iou"], [1 / 2, 2 / 4, 0, np.nan])
    assert found["miou"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)  # predicted, nowhere true: 0
    assert found["absent"] == [3]
    assert found["pixel_accuracy"] == pytest.approx(3 / 5)


def test_perfect_and_without_a_labelled_pixel():
    target = RNG.integers(0, 3, (4, 4))
    found = mean_iou(target, target, 3)
    assert (found["miou"], found["pixel_accuracy"]) == (1.0, 1.0)
    nothing = mean_iou(target, np.full((4, 4), 255), 3)
    assert np.isnan(nothing["miou"])
    assert np.isnan(nothing["pixel_accuracy"])
    assert nothing["absent"] == [0, 1, 2]


def test_predictions_on_unlabelled_pixels_are_not_looked_at():
    assert mean_iou(np.array([0, 200]), np.array([0, 255]), 2)["miou"] == 1.0


def test_refuses_other_shapes_and_labels():
    with pytest.raises(ValueError, match="shapes"):
        mean_iou(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    with pytest.raises(ValueError, match="prediction holds labels from 0 to 2"):
        mean_iou(np.array([0, 2]), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="target holds labels from -1 to 1"):
        mean_iou(np.array([0, 1]), np.array([-1, 1]), 2)


def test_confusion_is_true_by_predicted():
    assert confusion_matrix(np.array([1, 1, 0]), np.array([0, 0, 1]), 2).tolist() == [[0, 2], [1, 0]]


def pictures(count, quality, classes=4, size=40):
    """Confusion matrices of random pictures of which a share `quality` of pixels is right."""
    rng = np.random.default_rng(1)
    matrices = []
    for _ in range(count):
        target = rng.integers(0, rng.integers(1, classes + 1), size)
        noise = rng.integers(0, classes, size)
        prediction = np.where(rng.random(size) < quality, target, noise)
        matrices.append(confusion_matrix(prediction, target, classes))
    return Overlaps.of(matrices)


def test_interval_resamples_pictures_and_scores_their_pixels_as_a_whole():
    overlaps = pictures(12, 0.7)
    found = miou_interval([overlaps], resamples=3000)
    rng = np.random.default_rng(5)
    slow = []
    for _ in range(3000):
        chosen = rng.integers(12, size=12)
        both, predicted, true = (
            one[chosen].sum(0) for one in (overlaps.both, overlaps.predicted, overlaps.true)
        )
        slow.append(np.mean([b / (p + t - b) for b, p, t in zip(both, predicted, true, strict=True)]))
    assert found.value == pytest.approx(overlaps.miou)
    assert found.low == pytest.approx(np.quantile(slow, 0.025), abs=0.01)
    assert found.high == pytest.approx(np.quantile(slow, 0.975), abs=0.01)
    assert found == miou_interval([overlaps], resamples=3000)


def test_a_class_that_resamples_may_lack_keeps_the_interval_finite():
    matrices = np.zeros((3, 2, 2), int)
    matrices[:, 0, 0] = 10
    matrices[0, 1, 1] = 5
    found = miou_interval([Overlaps.of(matrices)])
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_difference_is_paired():
    good, bad = pictures(20, 0.8), pictures(20, 0.5)
    assert miou_difference([good], [good]) == Interval(0.0, 0.0, 0.0)
    found = miou_difference([good], [bad])
    assert found.value == pytest.approx(good.miou - bad.miou)
    assert 0 < found.low < found.value < found.high
    with pytest.raises(ValueError, match="same pictures"):
        miou_difference([good], [pictures(19, 0.5)])


def test_refuses_nothing_to_score():
    with pytest.raises(ValueError, match="at least one labelled pixel"):
        miou_interval([Overlaps.of(np.zeros((2, 3, 3), int))])
    with pytest.raises(ValueError, match="shape"):
        Overlaps.of([])
