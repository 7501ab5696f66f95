"""Thresholds: the best F1 by trying every one, scikit-learn's F1, ties, and categories with few examples."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from fieldmark.methods.cprfl.model.thresholds import best_threshold, choose_thresholds


def drawn(seed: int, size: int = 60, steps: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with many ties, and targets that they tell something of."""
    rng = np.random.default_rng(seed)
    targets = rng.random(size) < 0.3
    return np.round((rng.random(size) + 0.4 * targets) / 1.4 * steps) / steps, targets


@pytest.mark.parametrize("seed", range(12))
def test_no_threshold_is_better(seed: int) -> None:
    scores, targets = drawn(seed)
    chosen = best_threshold(scores, targets)
    every = {t: f1_score(targets, scores >= t, zero_division=0) for t in np.unique(scores)}
    best = max(every.values())
    assert f1_score(targets, scores >= chosen) == pytest.approx(best)
    highest = max(t for t, value in every.items() if value == pytest.approx(best))
    assert highest == min(scores[scores >= chosen])
    assert chosen not in scores or chosen == scores.min()  # so that rounding decides nothing


def test_separable_scores_are_separated_in_the_middle() -> None:
    assert best_threshold(np.array([0.1, 0.9, 0.3, 0.8]), np.array([0, 1, 0, 1], bool)) == pytest.approx(0.55)


def test_everything_positive_and_nothing_positive() -> None:
    assert best_threshold(np.array([-0.4, 0.6]), np.array([1, 1], bool)) == -0.4
    assert best_threshold(np.array([0.7, 0.7, 0.7]), np.array([0, 1, 0], bool)) == 0.7
    with pytest.raises(ValueError, match="needs a positive"):
        best_threshold(np.array([0.4, 0.6]), np.array([0, 0], bool))


def test_a_category_with_few_examples_takes_the_common_threshold() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((40, 3))
    targets = rng.random((40, 3)) < 0.4
    targets[:, 1] = False
    targets[:4, 1] = True
    chosen = choose_thresholds(scores, targets)
    assert chosen[1] == best_threshold(scores.ravel(), targets.ravel())
    for category in (0, 2):
        assert chosen[category] == best_threshold(scores[:, category], targets[:, category])
    assert choose_thresholds(scores, targets, min_positives=4)[1] == best_threshold(
        scores[:, 1], targets[:, 1]
    )
