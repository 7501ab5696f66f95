"""Average precision equals, to the last bit, that of plain code on tables of all pictures and classes."""

import numpy as np
import pytest

from fieldmark.evaluation import multilabel
from fieldmark.evaluation.multilabel import multilabel_map, resampled_ap


def plain_ap(scores, targets, weights):
    """Average precision of each class where picture n counts `weights[n]` times, with every cell of the tables."""
    order = np.argsort(-scores, axis=0, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=0)
    ends = np.ones_like(ordered, dtype=bool)
    ends[:-1] = ordered[:-1] != ordered[1:]
    last = np.where(ends, np.arange(len(scores))[:, None], len(scores) - 1)
    last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
    weight = weights[order]
    hits = weight * np.take_along_axis(targets, order, axis=0)
    right, seen = hits.cumsum(axis=0), weight.cumsum(axis=0)
    precision = np.take_along_axis(right / np.maximum(seen, 1e-300), last, axis=0)
    summed, total = (hits * precision).sum(axis=0), right[-1]
    return np.divide(summed, total, out=np.full(len(total), np.nan), where=total > 0)


def plain_draws(scores, targets, resamples, seed):
    rng, pictures = np.random.default_rng(seed), len(scores)
    drawn = [np.bincount(rng.integers(pictures, size=pictures), minlength=pictures) for _ in range(resamples)]
    return np.array([plain_ap(scores, targets, times.astype(np.float64)) for times in drawn])


@pytest.mark.parametrize("pictures", [1, 2, 9, 130, 1500])
@pytest.mark.parametrize("classes", [1, 2, 3, 17])
@pytest.mark.parametrize("levels", [None, 1, 4, 60])
def test_values_and_draws_are_those_of_the_plain_code(pictures, classes, levels, monkeypatch):
    rng = np.random.default_rng(pictures + classes)
    scores = (
        rng.normal(size=(pictures, classes))
        if levels is None
        else rng.integers(levels, size=(pictures, classes))
    )
    scores = scores.astype(np.float64)
    targets = (rng.random((pictures, classes)) < rng.choice([0.0, 0.01, 0.3, 1.0], size=classes)).astype(
        np.float64
    )
    np.testing.assert_array_equal(
        multilabel_map(scores, targets)["ap"], plain_ap(scores, targets, np.ones(pictures))
    )
    expected = plain_draws(scores, targets, resamples=7, seed=3)
    for at_once in (1, 3 * pictures, multilabel.AT_ONCE):
        monkeypatch.setattr(multilabel, "AT_ONCE", at_once)
        np.testing.assert_array_equal(resampled_ap(scores, targets, resamples=7, seed=3), expected)
