"""Average precision against scikit-learn and double loops; groups, intervals, thresholds; bad input."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from fieldmark.evaluation import multilabel_map
from fieldmark.evaluation.multilabel import map_intervals, mean_intervals, resampled_ap
from fieldmark.evaluation.thresholds import label_scores

RNG = np.random.default_rng(5)


def example(pictures=60, classes=7, levels=None, seed=0):
    """Scores, with few levels: many ties; the last class has no positive."""
    rng = np.random.default_rng(seed)
    scores = (
        rng.normal(size=(pictures, classes))
        if levels is None
        else rng.integers(levels, size=(pictures, classes))
    )
    targets = (rng.random((pictures, classes)) < np.linspace(0.5, 0.05, classes)).astype(int)
    targets[0, :-1], targets[:, -1] = 1, 0
    return scores.astype(float), targets


def slow_ap(scores, targets):
    """The mean over the positives of the precision at their score, one picture at a time."""
    total, positives = 0.0, 0
    for i in range(len(scores)):
        if targets[i]:
            at_least = [j for j in range(len(scores)) if scores[j] >= scores[i]]
            total += sum(targets[j] for j in at_least) / len(at_least)
            positives += 1
    return total / positives


@pytest.mark.parametrize("levels", [None, 2, 5, 1])
def test_ap_equals_scikit_learn_and_a_double_loop_also_with_ties(levels):
    scores, targets = example(levels=levels)
    ap = multilabel_map(scores, targets)["ap"]
    for c in range(6):
        assert ap[c] == pytest.approx(average_precision_score(targets[:, c], scores[:, c]), abs=1e-12)
        assert ap[c] == pytest.approx(slow_ap(scores[:, c], targets[:, c]), abs=1e-12)
    assert np.isnan(ap[6])


def test_a_value_by_hand():
    found = multilabel_map([[0.9], [0.8], [0.7], [0.6]], [[1], [0], [1], [0]])
    assert found["map"] == pytest.approx((1 + 2 / 3) / 2)


def test_only_the_order_of_the_scores_counts():
    scores, targets = example()
    shifted = multilabel_map(np.exp(scores) * 3 - 7, targets)["ap"]
    np.testing.assert_array_equal(shifted, multilabel_map(scores, targets)["ap"])
    shuffle = RNG.permutation(len(scores))
    np.testing.assert_allclose(multilabel_map(scores[shuffle], targets[shuffle])["ap"], shifted, rtol=1e-12)


def test_random_scores_give_about_the_prevalence():
    targets = (np.random.default_rng(1).random((4000, 3)) < [0.5, 0.1, 0.02]).astype(int)
    ap = multilabel_map(np.random.default_rng(2).random(targets.shape), targets)["ap"]
    np.testing.assert_allclose(ap, targets.mean(axis=0), atol=0.03)


def test_classes_without_positives_are_left_out_and_named():
    scores, targets = example()
    found = multilabel_map(scores, targets, names=list("abcdefg"))
    assert found["left_out"] == ["g"]
    assert multilabel_map(scores, targets)["left_out"] == [6]
    assert found["map"] == pytest.approx(np.mean(found["ap"][:6]))


def test_groups_take_the_boundaries_as_published():
    scores, targets = example()
    counts = [500, 100, 99, 20, 19, 1, 7]  # 100 is head, 20 is medium
    found = multilabel_map(scores, targets, counts)
    ap = found["ap"]
    assert found["head"] == pytest.approx(ap[:2].mean())
    assert found["medium"] == pytest.approx(ap[2:4].mean())
    assert found["tail"] == pytest.approx(ap[4:6].mean())
    assert found["map"] == pytest.approx((2 * found["head"] + 2 * found["medium"] + 2 * found["tail"]) / 6)
    scaled = multilabel_map(scores, targets, counts, head=10, tail=2)
    assert scaled["tail"] == pytest.approx(ap[5])
    assert np.isnan(multilabel_map(scores, targets, [200] * 7)["tail"])


def test_tensors_and_lists_are_taken():
    scores, targets = example()
    tensors = multilabel_map(torch.tensor(scores).bfloat16().float(), torch.tensor(targets))
    assert (
        tensors["map"]
        == multilabel_map(torch.tensor(scores).bfloat16().float().tolist(), targets.tolist())["map"]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, t: (s[:, :3], t), "shape"),
        (lambda s, t: (s[0], t[0]), "shape"),
        (lambda s, t: (s[:0], t[:0]), "shape"),
        (lambda s, t: (np.where(s > 2, np.nan, s), t), "NaN or an infinite"),
        (lambda s, t: (s, t * 2), "0 or 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as error:
        multilabel_map(*change(*example(seed=3, pictures=200)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("counts", "limits"), [([1, 2], {}), ([1] * 7, {"head": 5, "tail": 6})])
def test_bad_groups_are_refused(counts, limits):
    with pytest.raises(ValueError, match=r"class_counts|must not exceed"):
        multilabel_map(*example(), counts, **limits)


def test_resampled_ap_is_that_of_the_pictures_drawn():
    scores, targets = example(levels=4)
    draws = resampled_ap(scores, targets, resamples=5, seed=3)
    rng = np.random.default_rng(3)
    for draw in draws:
        rows = rng.integers(len(scores), size=len(scores))
        np.testing.assert_allclose(draw, multilabel_map(scores[rows], targets[rows])["ap"], rtol=1e-10)


def test_intervals_hold_the_value_and_narrow_with_more_pictures():
    few, many = (map_intervals(*example(n), [500, 500, 50, 50, 5, 5, 5], resamples=200) for n in (60, 2000))
    for name in ("map", "head", "medium", "tail"):
        assert few[name].low <= few[name].value <= few[name].high
        assert many[name].high - many[name].low < few[name].high - few[name].low
    assert set(map_intervals(*example(), resamples=5)) == {"map"}


def test_intervals_take_the_errors_of_the_draws_off_the_value():
    scores, targets = example(200)
    draws = resampled_ap(scores, targets, resamples=100)
    means = [np.mean([ap for ap in draw if not np.isnan(ap)]) for draw in draws]
    found = map_intervals(scores, targets, resamples=100)["map"]
    low, high = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((2 * found.value - high, 2 * found.value - low))


def test_intervals_cover_the_value_of_many_pictures_where_percentiles_do_not():
    """Draws of rare positives score too high: of 60 small samples, percentiles miss the truth far more often."""
    rng = np.random.default_rng(0)

    def sample(pictures):
        targets = (rng.random((pictures, 4)) < 0.06).astype(int)
        return rng.normal(size=(pictures, 4)) + 1.2 * targets, targets

    truth = multilabel_map(*sample(100_000))["map"]
    inside, within_percentiles = 0, 0
    for seed in range(60):
        scores, targets = sample(200)
        found = map_intervals(scores, targets, resamples=100, seed=seed)["map"]
        inside += found.low <= truth <= found.high
        means = np.nanmean(resampled_ap(scores, targets, resamples=100, seed=seed), axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        within_percentiles += low <= truth <= high
    assert inside >= 51
    assert within_percentiles < inside - 5


def difference(first, second, targets):
    gains = multilabel_map(first, targets)["ap"] - multilabel_map(second, targets)["ap"]
    draws = [resampled_ap(scores, targets, resamples=200) for scores in (first, second)]
    return mean_intervals(gains[None], (draws[0] - draws[1])[None], {})["map"]


def test_differences_are_paired():
    scores, targets = example(200)
    same = difference(scores, scores, targets)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = scores + 0.8 * targets
    gain = difference(better, scores, targets)
    assert gain.value == pytest.approx(
        multilabel_map(better, targets)["map"] - multilabel_map(scores, targets)["map"]
    )
    assert gain.low > 0


def test_label_scores_equal_scikit_learn():
    scores, targets = example()
    found = label_scores(scores, targets, 0.3)
    said = (scores >= 0.3).astype(int)
    op, recall, of1, _ = precision_recall_fscore_support(targets, said, average="micro")
    assert (found["op"], found["or"], found["of1"]) == pytest.approx((op, recall, of1))
    cp, cr, _, _ = precision_recall_fscore_support(
        targets[:, :6], said[:, :6], average="macro", zero_division=0
    )
    assert (found["cp"], found["cr"], found["cf1"]) == pytest.approx((cp, cr, 2 * cp * cr / (cp + cr)))


def test_label_scores_of_no_decision_are_zero():
    scores, targets = example()
    assert set(label_scores(scores, targets, 99.0).values()) == {0.0}
    with pytest.raises(ValueError, match="thresholds"):
        label_scores(scores, targets, [0.1, 0.2])
