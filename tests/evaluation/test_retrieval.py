"""Retrieval measures against a double loop, scikit-learn, and by hand; degenerate and bad input."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from fieldmark.evaluation import ranking, retrieval_metrics
from fieldmark.evaluation.retrieval import rank_queries

KS = (1, 2, 4, 8)


def slow_metrics(queries, labels, gallery=None, gallery_labels=None, ks=KS):
    """The measures by plain loops over a sorted ranking, negatives first among equals."""
    alone = gallery is None
    gallery, gallery_labels = (queries, labels) if alone else (gallery, gallery_labels)
    per_query, skipped = [], 0
    for i, query in enumerate(queries):
        ranking = []
        for j, item in enumerate(gallery):
            if alone and i == j:
                continue
            lengths = math.sqrt(sum(a * a for a in query)) * math.sqrt(sum(b * b for b in item))
            similarity = sum(a * b for a, b in zip(query, item, strict=True)) / lengths
            ranking.append((-round(similarity, 12), labels[i] == gallery_labels[j]))
        hits = [hit for _, hit in sorted(ranking)]
        total = sum(hits)
        if total == 0:
            skipped += 1
            continue
        row = {f"recall@{k}": float(any(hits[:k])) for k in ks}
        precisions = [sum(hits[: r + 1]) / (r + 1) if hits[r] else 0.0 for r in range(len(hits))]
        row["map"] = sum(precisions) / total
        row["map@r"] = sum(precisions[:total]) / total
        row["r_precision"] = sum(hits[:total]) / total
        per_query.append(row)
    means = {name: sum(row[name] for row in per_query) / len(per_query) for name in per_query[0]}
    return means | {"skipped": float(skipped)}


def random_case(seed, rows=30, dim=5, classes=6):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=rows)
    return rng.normal(size=(rows, dim)) + rng.normal(size=(classes, dim))[labels], labels


@pytest.mark.parametrize("seed", range(6))
def test_leave_one_out_equals_slow_reference(seed):
    embeddings, labels = random_case(seed)
    fast = retrieval_metrics(torch.tensor(embeddings, dtype=torch.float32), torch.tensor(labels), ks=KS)
    assert fast == pytest.approx(slow_metrics(embeddings, labels), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_gallery_equals_slow_reference(seed):
    gallery, gallery_labels = random_case(seed, rows=40, classes=9)
    queries, labels = random_case(seed + 100, rows=12, classes=9)
    fast = retrieval_metrics(queries, labels, gallery, gallery_labels, ks=(1, 3))
    assert fast == pytest.approx(slow_metrics(queries, labels, gallery, gallery_labels, (1, 3)), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_ties_equal_slow_reference(seed):
    """Rows drawn from few directions, so that most similarities are shared."""
    rng = np.random.default_rng(seed)
    embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[rng.integers(3, size=25)]
    labels = rng.integers(4, size=25)
    assert retrieval_metrics(embeddings, labels) == pytest.approx(slow_metrics(embeddings, labels), abs=1e-9)


def test_map_equals_scikit_learn():
    gallery, gallery_labels = random_case(1, rows=80)
    queries, labels = random_case(2, rows=20)
    similarity = queries @ gallery.T / np.linalg.norm(gallery, axis=1)
    expected = [
        average_precision_score(gallery_labels == label, row)
        for label, row in zip(labels, similarity, strict=True)
    ]
    assert retrieval_metrics(queries, labels, gallery, gallery_labels)["map"] == pytest.approx(
        np.mean(expected)
    )


def test_by_hand():
    # Query at 0 degrees; gallery at 10 (wrong), 20 (right), 30 (right), 40 (wrong), 50 (right) degrees.
    angles = np.radians([10, 20, 30, 40, 50])
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    metrics = retrieval_metrics([[1.0, 0.0]], [1], gallery, [0, 1, 1, 0, 1], ks=(1, 2))
    assert metrics == pytest.approx(
        {
            "recall@1": 0.0,
            "recall@2": 1.0,
            "r_precision": 2 / 3,
            "map@r": (1 / 2 + 2 / 3) / 3,
            "map": (1 / 2 + 2 / 3 + 3 / 5) / 3,
            "skipped": 0.0,
        }
    )


def test_collapsed_embeddings_earn_nothing():
    labels = np.repeat(np.arange(10), 4)
    for dtype in (torch.float32, torch.bfloat16):
        collapsed = torch.full((40, 7), 0.37, dtype=dtype)
        metrics = retrieval_metrics(collapsed, labels)
        assert metrics["recall@8"] == 0
        assert metrics["map@r"] == 0
        assert metrics["map"] == pytest.approx(np.mean([k / (36 + k) for k in (1, 2, 3)]))


def test_rounding_noise_does_not_break_ties():
    """One direction at many lengths: similarities differ in the last bit, which must not rank anything."""
    rng = np.random.default_rng(0)
    embeddings = rng.uniform(0.1, 10, size=(60, 1)) * rng.normal(size=(1, 193))
    assert retrieval_metrics(embeddings, np.repeat(np.arange(20), 3))["recall@8"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_agree_with_the_measures_under_ties(seed):
    rng = np.random.default_rng(seed)
    embeddings = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[rng.integers(3, size=25)]
    results = rank_queries(embeddings, rng.integers(3, size=25), neighbours=3)
    for k in (1, 2, 3):
        np.testing.assert_array_equal(results.correct[:, :k].any(axis=1), results.recall(k).astype(bool))


def test_zero_rows_are_like_nothing():
    queries = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert retrieval_metrics(queries, [0, 0, 1], ks=(1,))["recall@1"] == 0


def test_duplicates_count_and_self_does_not():
    # An exact copy of the query with its label is a hit; the query itself is not.
    assert retrieval_metrics([[1.0, 0], [1.0, 0], [0, 1.0]], [0, 0, 1], ks=(1,)) == pytest.approx(
        {"recall@1": 1.0, "map@r": 1.0, "r_precision": 1.0, "map": 1.0, "skipped": 1.0}
    )


def test_scale_and_extremes_do_not_matter():
    embeddings, labels = random_case(3)
    scales = np.logspace(-300, 300, len(embeddings))[:, None]
    assert retrieval_metrics(embeddings * scales, labels) == pytest.approx(
        retrieval_metrics(embeddings, labels)
    )


def test_blocks_do_not_change_the_result(monkeypatch):
    embeddings, labels = random_case(4, rows=57)
    whole = rank_queries(embeddings, labels)
    monkeypatch.setattr(ranking, "TILE", 10)
    blocks = rank_queries(embeddings, labels)
    for name in ("first_rank", "ap", "valid", "neighbours"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(blocks, name))


def test_k_past_the_gallery_means_all_of_it():
    assert retrieval_metrics([[1.0, 0]], [0], [[1.0, 0], [0.5, 1]], [1, 0], ks=(1, 50)) == pytest.approx(
        {"recall@1": 0.0, "recall@50": 1.0, "map@r": 0.0, "r_precision": 0.0, "map": 0.5, "skipped": 0.0}
    )


@pytest.mark.parametrize(
    ("queries", "labels", "gallery", "gallery_labels", "skipped"),
    [
        ([[1.0, 2.0]], [0], None, None, 1),
        (np.zeros((0, 3)), [], None, None, 0),
        (np.ones((2, 3)), [0, 0], np.zeros((0, 3)), [], 2),
        (np.eye(3), [0, 1, 2], None, None, 3),
    ],
    ids=["batch of one", "empty", "empty gallery", "no positives"],
)
def test_nothing_to_find_is_zero_and_counted(queries, labels, gallery, gallery_labels, skipped):
    metrics = retrieval_metrics(queries, labels, gallery, gallery_labels)
    assert metrics.pop("skipped") == skipped
    assert set(metrics.values()) == {0.0}


def test_one_label_for_all_is_perfect():
    embeddings, _ = random_case(5)
    metrics = retrieval_metrics(embeddings, np.zeros(len(embeddings)))
    assert {metrics["recall@1"], metrics["map"], metrics["map@r"], metrics["r_precision"]} == {1.0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_rows_are_named(bad):
    embeddings, labels = random_case(6)
    embeddings[[3, 7], 1] = bad
    with pytest.raises(ValueError, match=r"queries: NaN or infinite values in row 3, 7 of 30"):
        retrieval_metrics(embeddings, labels)
    with pytest.raises(ValueError, match="gallery: NaN"):
        retrieval_metrics(np.ones((1, 5)), [0], embeddings, labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones(4), [0] * 4), "queries must have shape"),
        ((np.ones((4, 2)), [0] * 3), "query_labels must have shape"),
        ((np.ones((4, 2)), [0] * 4, np.ones((4, 2))), "go together"),
        ((np.ones((4, 2)), [0] * 4, np.ones((4, 3)), [0] * 4), "2 dimensions, the gallery has 3"),
        ((np.ones((4, 2)), [0] * 4, None, None, (0, 1)), "at least 1"),
    ],
)
def test_wrong_shapes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(*arguments)


def test_neighbours_agree_with_the_measures():
    embeddings, labels = random_case(7, rows=50)
    names = np.array([f"class {label}" for label in labels])
    results = rank_queries(embeddings, names, neighbours=4)
    assert results.neighbours.shape == (50, 4)
    assert not (results.neighbours == np.arange(50)[:, None]).any()
    np.testing.assert_array_equal(results.correct.any(axis=1), results.recall(4).astype(bool))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(
        results.similarities, np.sort(unit @ unit.T, axis=1)[:, ::-1][:, 1:5], atol=1e-9
    )


def test_fewer_neighbours_than_asked_for():
    assert rank_queries(np.eye(3), [0, 0, 1], neighbours=10).neighbours.shape == (3, 2)
    assert rank_queries(np.ones((1, 2)), [0], neighbours=10).correct.shape == (1, 0)
