"""Zero-shot classification and retrieval across pictures and texts, against slow loops."""

import numpy as np
import pytest

from fieldmark.evaluation.crossmodal import cosines, cross_recall, zero_shot_hits


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def slow_rank(query, owner, gallery, owners):
    """Return how many wrong entries come before the best right one, wrong ones first where they are equal."""
    best = max(cosine(query, one) for one, its in zip(gallery, owners, strict=True) if its == owner)
    return sum(cosine(query, one) >= best for one, its in zip(gallery, owners, strict=True) if its != owner)


def test_zero_shot_is_the_nearest_text_by_cosine():
    rng = np.random.default_rng(0)
    images, classes = rng.normal(size=(40, 5)), rng.normal(size=(7, 5)) * rng.uniform(0.1, 9, (7, 1))
    labels = rng.integers(0, 7, 40)
    slow = [int(np.argmax([cosine(x, w) for w in classes])) == y for x, y in zip(images, labels, strict=True)]
    assert zero_shot_hits(images, classes, labels).tolist() == slow
    assert 0 < sum(slow) < 40


def test_equal_texts_earn_nothing():
    images, labels = np.eye(3), [0, 1, 2]
    assert zero_shot_hits(images, np.ones((3, 3)), labels).tolist() == [False] * 3
    assert zero_shot_hits(images, np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1.0]]), labels).tolist() == [
        False,
        False,
        True,
    ]


def test_recall_equals_double_loops():
    rng = np.random.default_rng(1)
    queries, gallery = rng.normal(size=(30, 4)), rng.normal(size=(55, 4))
    owners = np.concatenate([np.arange(11), rng.integers(0, 11, 44)])
    asked = rng.integers(0, 11, 30)
    ranks = [slow_rank(q, o, gallery, owners) for q, o in zip(queries, asked, strict=True)]
    found = cross_recall(queries, asked, gallery, owners, (1, 3, 10))
    for k in (1, 3, 10):
        assert found[k].tolist() == [rank < k for rank in ranks]


def test_recall_in_blocks_equals_recall_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    arguments = (rng.normal(size=(20, 4)), np.arange(20), rng.normal(size=(20, 4)), np.arange(20), (1, 5))
    whole = cross_recall(*arguments)
    monkeypatch.setattr("fieldmark.evaluation.ranking.TILE", 7)
    assert all(np.array_equal(cross_recall(*arguments)[k], whole[k]) for k in (1, 5))


def test_a_collapsed_space_finds_nothing():
    found = cross_recall(np.ones((6, 2)), np.arange(6), np.ones((6, 2)), np.arange(6), (1, 5, 6))
    assert [int(found[k].sum()) for k in (1, 5, 6)] == [0, 0, 6]


def test_what_the_gallery_lacks_is_refused():
    with pytest.raises(ValueError, match="nothing to find"):
        cross_recall(np.eye(2), [0, 1], np.eye(2), [0, 0], (1,))
    with pytest.raises(ValueError, match="one label a row"):
        cross_recall(np.eye(2), [0], np.eye(2), [0, 1], (1,))
    with pytest.raises(ValueError, match="NaN"):
        zero_shot_hits(np.array([[np.nan, 1.0]]), np.eye(2), [0])
    with pytest.raises(ValueError, match="nothing to find"):
        zero_shot_hits(np.eye(2), np.eye(2), [0, 2])


def test_the_table_holds_cosines():
    rows = np.array([[2.0, 0.0], [1.0, 1.0], [-3.0, 0.0]])
    expected = [[cosine(a, b) for b in rows[:2]] for a in rows]
    np.testing.assert_allclose(cosines(rows, rows[:2]), expected, atol=1e-12)
