"""Classification measures against scikit-learn, hand values and double loops."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import top_k_accuracy_score

from fieldmark.evaluation import classification
from fieldmark.evaluation.bootstrap import interval
from fieldmark.evaluation.classification import (
    correct_in_top,
    group_accuracies,
    log_loss,
    reliability,
    stated,
)


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(7), rng.integers(0, 7, 193)])
    return rng.normal(size=(200, 7)) + 1.2 * np.eye(7)[labels], labels


def softmax(scores: np.ndarray) -> np.ndarray:
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_top_k_equals_scikit_learn(scores, k):
    values, labels = scores
    assert correct_in_top(values, labels, k).mean() == pytest.approx(
        top_k_accuracy_score(labels, values, k=k)
    )


def test_the_log_loss_equals_scikit_learn(scores):
    values, labels = scores
    found = log_loss(stated(torch.from_numpy(softmax(values)), torch.from_numpy(labels)))
    assert found == pytest.approx(sklearn_log_loss(labels, softmax(values)))


def test_equal_scores_earn_nothing_by_luck():
    constant = np.zeros((3, 4))
    assert not correct_in_top(constant, [0, 1, 3], 3).any()
    assert correct_in_top(constant, [0, 1, 3], 4).all()


def test_a_certain_mistake_costs_much_but_not_everything():
    assert log_loss(stated(np.array([[1.0, 0.0]]), [1])) == pytest.approx(12 * np.log(10))


def test_groups_are_means_with_their_own_intervals():
    correct = np.array([1, 0, 1, 1, 0, 0])
    groups = np.array(["b", "b", "b", "a", "a", "c"])
    classes = np.array([0, 0, 1, 2, 2, 3])
    found = group_accuracies(correct, groups, classes)
    assert [(one.name, one.count) for one in found] == [("c", 1), ("a", 2), ("b", 3)]
    assert [one.accuracy.value for one in found] == pytest.approx([0, 1 / 2, 2 / 3])
    assert found[2].accuracy == interval(correct[:3], classes[:3])
    assert found[1].accuracy == interval(correct[3:5], [5, 5])  # one class: its pictures are resampled
    with pytest.raises(ValueError, match="one value a picture"):
        group_accuracies(correct, groups[:2], classes)


@pytest.mark.parametrize("at_once", [1, 30, classification.AT_ONCE])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_nothing_depends_on_how_many_pictures_are_looked_at_at_a_time(scores, at_once, kind, monkeypatch):
    """All is, to the last bit, what it is on a table of all probabilities in float64."""
    monkeypatch.setattr(classification, "AT_ONCE", at_once)
    logits, labels = torch.from_numpy(scores[0]).to(kind), scores[1]
    table, rows = logits.double().softmax(1).numpy(), np.arange(len(labels))
    said = stated(logits, labels, softmax=True)
    np.testing.assert_array_equal(said.own, table[rows, labels])
    np.testing.assert_array_equal(said.highest, table.max(1))
    np.testing.assert_array_equal(said.right, table.argmax(1) == labels)
    assert log_loss(said) == float(-np.log(np.maximum(table[rows, labels], 1e-12)).mean())
    raw = logits.double().numpy()
    better = (raw >= raw[rows, labels][:, None]).sum(1) - 1
    np.testing.assert_array_equal(correct_in_top(logits, labels, 3), better < 3)


def test_groups_are_those_of_a_loop_over_names():
    rng = np.random.default_rng(0)
    correct, classes = rng.random((2, 300)) < 0.6, rng.integers(0, 40, 300)
    groups = np.array([f"g{label % 13}" for label in classes])
    found = {one.name: one for one in group_accuracies(correct, groups, classes)}
    assert set(found) == set(groups)
    for name, one in found.items():
        member = groups == name
        assert one.accuracy == interval(correct[:, member], classes[member])
        assert one.count == member.sum()


def test_reliability_against_a_double_loop_and_scikit_learn(scores):
    values, labels = scores
    probabilities = softmax(values)
    found = reliability(stated(probabilities, labels), bins=10)
    error = 0.0
    for low in range(10):
        inside = [
            (row.max(), row.argmax() == label)
            for row, label in zip(probabilities, labels, strict=True)
            if low / 10 < row.max() <= (low + 1) / 10
        ]
        assert found.counts[low] == len(inside)
        if inside:
            confidence, right = np.mean(inside, axis=0)
            assert found.confidence[low] == pytest.approx(confidence)
            assert found.accuracy[low] == pytest.approx(right)
            error += len(inside) / len(labels) * abs(confidence - right)
    assert found.error == pytest.approx(error)
    right, confidence = calibration_curve(
        probabilities.argmax(1) == labels, probabilities.max(1), n_bins=10, strategy="uniform"
    )
    filled = found.counts > 0
    np.testing.assert_allclose(found.accuracy[filled], right)
    np.testing.assert_allclose(found.confidence[filled], confidence)


def test_certainty_that_is_right_is_calibrated():
    found = reliability(stated(np.eye(3), [0, 1, 2]))
    assert found.error == 0
    assert found.counts.tolist() == [0] * 14 + [3]
    assert reliability(stated(np.eye(3), [1, 2, 0])).error == 1


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (np.zeros((2, 3)), [0], r"\(2, 3\) and \(1,\)"),
        (np.zeros(3), [0, 1, 2], r"must be \(N, C\)"),
        (np.zeros((0, 3)), [], "must be"),
        (np.full((1, 3), np.nan), [0], "NaN"),
        (np.zeros((1, 3)), [3], "labels must be from 0 to 2"),
        (np.zeros((1, 3)), [-1], "labels must be from 0 to 2"),
    ],
)
def test_bad_input_is_refused(values, labels, message):
    for measure in (correct_in_top, stated):
        with pytest.raises(ValueError, match=message):
            measure(values, labels)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="k must be"):
        correct_in_top(np.eye(2), [0, 1], 0)
    with pytest.raises(ValueError, match="at least one bin"):
        reliability(stated(np.eye(2), [0, 1]), bins=0)
    with pytest.raises(ValueError, match="sum to 1"):
        stated(np.ones((2, 2)), [0, 1])
    with pytest.raises(ValueError, match="sum to 1"):
        stated(np.full((2, 2), np.inf), [0, 1], softmax=True)
