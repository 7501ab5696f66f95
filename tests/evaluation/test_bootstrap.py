"""The cluster bootstrap against a loop, by coverage on simulated classes, and on degenerate input."""

import numpy as np
import pytest

from fieldmark.evaluation import bootstrap
from fieldmark.evaluation.bootstrap import Interval, interval, paired_difference
from fieldmark.evaluation.retrieval import rank_queries, retrieval_metrics


def simulated(seed, classes=40, per_class=12):
    """Values with a strong class effect and true mean 0.5."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(classes), rng.integers(2, per_class, size=classes))
    return rng.normal(0.5, 0.3, size=classes)[clusters] + rng.normal(0, 0.1, size=len(clusters)), clusters


def test_equals_a_slow_loop():
    values, clusters = simulated(0, classes=9)
    rng = np.random.default_rng(3)
    means = []
    for _ in range(50):
        drawn = [values[clusters == name] for name in rng.integers(9, size=9)]
        means.append(np.concatenate(drawn).mean())
    found = interval(values, clusters, resamples=50, seed=3)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_covers_the_truth_where_resampling_queries_does_not():
    """About 95 % of intervals hold the true mean; pretending that queries are independent, far fewer do."""
    cases = [simulated(seed) for seed in range(200)]
    honest = [interval(values, clusters, resamples=300) for values, clusters in cases]
    naive = [interval(values, np.arange(len(values)), resamples=300) for values, _ in cases]
    covered, fooled = (np.mean([one.low <= 0.5 <= one.high for one in many]) for many in (honest, naive))
    assert 0.88 <= covered <= 0.99
    assert fooled < 0.7


def test_pairing_narrows_the_interval():
    values, clusters = simulated(1)
    better = values + 0.02 + np.random.default_rng(9).normal(0, 0.01, size=len(values))
    difference = paired_difference(better, values, clusters)
    assert 0 < difference.low < 0.02 < difference.high < 0.03
    assert difference.high - difference.low < 0.1 * (interval(values, clusters).high - values.mean())


def test_same_seed_same_interval_and_blocks_do_not_matter(monkeypatch):
    values, clusters = simulated(2)
    once = interval(values, clusters)
    assert once == interval(values, clusters)
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 100)
    assert once == interval(values, clusters)


def test_degenerate_input():
    assert interval([1.0, 1.0], ["a", "b"]) == Interval(1.0, 1.0, 1.0)
    single = interval([0.0, 1.0, 1.0, 0.0], ["a"] * 4)
    assert single.low < single.value < single.high
    assert interval([0.3], ["a"]).low == 0.3


@pytest.mark.parametrize(
    ("values", "clusters"), [([], []), ([1.0, np.nan], [0, 1]), ([1.0, 2.0], [0]), ([[1.0]], [[0]])]
)
def test_bad_input_is_refused(values, clusters):
    with pytest.raises(ValueError, match=r"interval needs|values must have shape"):
        interval(values, clusters)


def test_intervals_of_retrieval_surround_the_metrics():
    rng = np.random.default_rng(0)
    labels = rng.integers(8, size=90)
    weak, strong = (
        rank_queries(rng.normal(size=(90, 6)) + s * rng.normal(size=(8, 6))[labels], labels) for s in (1, 2)
    )
    intervals = {name: interval(values, labels) for name, values in weak.values((1, 5)).items()}
    assert set(intervals) == {"recall@1", "recall@5", "map@r", "r_precision", "map"}
    for measure in intervals.values():
        assert measure.low <= measure.value <= measure.high
    gain = paired_difference(strong.ap, weak.ap, labels)
    assert gain.value == pytest.approx(strong.ap.mean() - weak.ap.mean())
    assert gain.low > 0


def test_intervals_of_valid_queries_surround_the_metrics():
    embeddings, labels = np.random.default_rng(1).normal(size=(9, 4)), [0, 0, 0, 1, 1, 1, 2, 3, 4]
    results = rank_queries(embeddings, labels)
    of_valid = interval(results.ap[results.valid], results.query_labels[results.valid])
    assert of_valid.value == pytest.approx(retrieval_metrics(embeddings, labels)["map"])


def test_a_difference_refuses_other_queries():
    with pytest.raises(ValueError, match="same queries"):
        paired_difference([1.0, 0.0], [1.0, 0.0, 1.0], [0, 1])
