"""Measures of the multi-label protocol that need no model: the quality of a ranking, and what is scored by it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import label_ranking_average_precision_score

from fieldmark.base.errors import UserError
from fieldmark.engine.task import Subset
from fieldmark.protocols import multilabel
from fieldmark.protocols.multilabel import Truth, by_category, difference, measured, ranking_quality, score


@pytest.fixture
def truth() -> Truth:
    """Forty pictures with four categories, of which the last is in none."""
    targets = (np.random.default_rng(0).random((40, 4)) < [0.5, 0.4, 0.3, 0.0]).astype(np.float32)
    tail = np.array([False, False, False, True])
    groups = {"head": ~tail, "tail": tail}
    return Truth(
        Subset(pd.DataFrame({"row": range(40)})), list("abcd"), targets, np.array([9, 30, 9, 2]), groups
    )


def logits(seed: int, truth: Truth) -> torch.Tensor:
    rows, columns = truth.targets.shape
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def test_ranking_quality_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    scores, targets = rng.random((9, 5)), rng.random((9, 5)) < 0.4
    targets[:, 0] = True
    by_picture = [
        label_ranking_average_precision_score(targets[i : i + 1], scores[i : i + 1]) for i in range(9)
    ]
    np.testing.assert_allclose(ranking_quality(scores, targets), by_picture)


@pytest.mark.parametrize(("pictures", "classes"), [(1, 5), (40, 1), (41, 7), (300, 33)])
def test_ranking_quality_is_the_same_whatever_is_put_in_order_at_a_time(
    pictures: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(pictures)
    scores, targets = rng.integers(9, size=(pictures, classes)), rng.random((pictures, classes)) < 0.3
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(targets, order, axis=1)
    precision = hits.cumsum(axis=1) / np.arange(1, classes + 1)
    expected = (precision * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1)
    for numbers in (1, 2 * classes, multilabel.AT_ONCE):
        monkeypatch.setattr(multilabel, "AT_ONCE", numbers)
        np.testing.assert_array_equal(ranking_quality(scores, targets), expected)


def test_scores_are_kept_as_they_come_and_measured_in_float64(truth: Truth) -> None:
    raw = logits(0, truth)
    scored = score("S", raw, torch.full((4,), 0.6), truth)
    assert (scored.ranks.dtype, scored.scores.dtype) == (np.float32, np.float32)
    doubled = replace(scored, ranks=raw.double().numpy(), scores=raw.sigmoid().double().numpy())
    assert doubled.decisions == scored.decisions
    np.testing.assert_array_equal(doubled.ap, scored.ap)
    np.testing.assert_array_equal(doubled.draws, scored.draws)


def test_thresholds_are_of_probabilities_and_ranks_of_logits(truth: Truth) -> None:
    saturated = logits(0, truth) + 100  # as probabilities all are 1
    scored = score("S", saturated, torch.full((4,), 0.5), truth)
    assert scored.decisions["or"] == 1.0
    assert scored.means["map"] == score("S", logits(0, truth), torch.zeros(4), truth).means["map"]
    assert set(measured([scored])) == {"map", "head", "op", "or", "of1", "cp", "cr", "cf1"}


def test_a_category_without_a_test_picture_is_in_no_mean(truth: Truth) -> None:
    scored = score("S", logits(0, truth), torch.full((4,), 0.5), truth)
    assert truth.untested == ["d"]
    assert scored.means["map"] == scored.means["head"]
    categories = by_category({"S": [scored]}, truth)
    assert list(categories) == ["b", "a", "c", "d"]  # the most frequent first, equal ones in their order
    assert categories["d"] == {"training pictures": 2, "test pictures": 0, "ap": {"S": None}}
    assert categories["a"]["ap"]["S"] == scored.ap[0]


def test_a_difference_is_that_of_the_means(truth: Truth) -> None:
    first, second = (score("S", logits(seed, truth), torch.zeros(4), truth) for seed in (0, 1))
    gain = difference([first], [second])["map"]
    assert gain.value == pytest.approx(first.means["map"].value - second.means["map"].value)
    assert difference([first], [first])["head"].high == 0


def test_scores_that_are_no_numbers_are_refused(truth: Truth) -> None:
    broken = logits(0, truth)
    broken[3, 1] = float("inf")
    with pytest.raises(UserError, match="variant S gives scores that are not finite"):
        score("S", broken, torch.zeros(4), truth)
