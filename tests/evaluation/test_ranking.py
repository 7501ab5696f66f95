"""Counting in float32 tiles gives exactly what float64 gives, also where float32 cannot tell rows apart."""

import numpy as np
import pytest
import torch

from fieldmark.evaluation import nearest, ranking
from fieldmark.evaluation.ranking import TIE, error_bound
from fieldmark.evaluation.retrieval import RetrievalResults, rank_queries


def slow_ranking(queries, labels, gallery, gallery_labels, alone):
    """Rank of every positive and order of the gallery from one matrix in float64, query by query."""
    unit, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery))
    firsts, orders = [], []
    for number, query in enumerate(unit):
        keys = others @ query - TIE * (gallery_labels == labels[number])
        keys = np.round(keys / (TIE / 16))
        left = np.array([place for place in range(len(others)) if not (alone and place == number)])
        order = left[np.argsort(-keys[left], kind="stable")]
        hits = np.flatnonzero(gallery_labels[order] == labels[number])
        # A negative with exactly the key of a positive comes first.
        ranks = [
            1 + n + sum((keys[left] >= keys[order[hit]]) & (gallery_labels[left] != labels[number]))
            for n, hit in enumerate(hits)
        ]
        firsts.append(ranks)
        orders.append(order)
    return firsts, orders


def close(kind, seed, rows, dim=24):
    """Embeddings whose similarities differ by about 1e-7, which float32 rounds away, or not at all, or widely."""
    rng = np.random.default_rng(seed)
    if kind == "apart":
        return rng.normal(size=(rows, dim))
    if kind == "near":
        return rng.normal(size=dim) + 3e-4 * rng.normal(size=(rows, dim))
    return rng.normal(size=(4, dim))[rng.integers(4, size=rows)]


def agree(results: RetrievalResults, expected):
    ranks, orders = expected
    for number, own in enumerate(ranks):
        precisions = [(place + 1) / rank for place, rank in enumerate(own)]
        assert results.first_rank[number] == (own[0] if own else 0)
        assert results.ap[number] == pytest.approx(np.mean(precisions) if own else 0, abs=1e-12)
        within = [p for p, rank in zip(precisions, own, strict=True) if rank <= len(own)]
        assert results.ap_at_r[number] == pytest.approx(sum(within) / max(len(own), 1), abs=1e-12)
    np.testing.assert_array_equal(
        results.neighbours, [order[: results.neighbours.shape[1]] for order in orders]
    )


FORCED = [
    {"DENSE": 10**9},
    {"DENSE": 1},
    {"FEW": 0},
    {"FEW": 0, "DENSE": 1},
    {"FEW": 100, "MANY": 10**9, "DENSE": 0},
]


@pytest.mark.parametrize("limits", [{}, {"POSITIVES": 20, "PAIRS": 300}, *FORCED])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("kind", ["apart", "near", "equal"])
def test_ranks_are_those_of_float64(monkeypatch, kind, alone, limits):
    monkeypatch.setattr(ranking, "TILE", 13)
    for name, value in limits.items():
        monkeypatch.setattr(ranking, name, value)
    rng = np.random.default_rng(7)
    everything = close(kind, 5, 70)
    labels = rng.integers(6, size=70)
    queries, gallery = (everything, everything) if alone else (everything[:20], everything[20:])
    own, others = (labels, labels) if alone else (labels[:20], labels[20:])
    found = rank_queries(queries, own, *(() if alone else (gallery, others)), neighbours=5)
    agree(found, slow_ranking(queries, own, gallery, others, alone))


def test_near_rows_are_not_decided_in_float32():
    """The case above would pass by luck if float32 could tell its rows apart."""
    rows = torch.as_tensor(close("near", 5, 70))
    unit = rows / rows.norm(dim=1, keepdim=True)
    exact, low = unit @ unit.T, unit.float() @ unit.float().T
    assert (exact.argsort(dim=1) != low.argsort(dim=1)).float().mean() > 0.2


@pytest.mark.parametrize("dim", [1, 7, 384, 2048])
@pytest.mark.parametrize("kind", ["apart", "near"])
def test_the_error_of_float32_is_within_its_bound(dim, kind):
    rows = torch.as_tensor(close(kind, dim, 200, dim))
    unit = rows / rows.norm(dim=1, keepdim=True)
    errors = (unit @ unit.T - (unit.float() @ unit.float().T).double()).abs()
    assert errors.max() < error_bound(dim)


def test_precision_set_for_training_does_not_reach_the_ranking():
    rows, labels = close("near", 1, 60), np.arange(60) % 7
    exact = rank_queries(rows, labels)
    torch.set_float32_matmul_precision("medium")
    try:
        again = rank_queries(rows, labels)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(exact.neighbours, again.neighbours)
    np.testing.assert_array_equal(exact.ap, again.ap)


def test_a_gallery_that_is_not_held_is_ranked_the_same(monkeypatch, tmp_path):
    """A gallery mapped from a file, of which float32 rows are made tile by tile."""
    rows, labels = close("apart", 2, 90).astype(np.float32), np.arange(90) % 9
    file = tmp_path / "gallery.npy"
    np.save(file, rows[30:])
    whole = rank_queries(rows[:30], labels[:30], rows[30:], labels[30:])
    monkeypatch.setattr("fieldmark.evaluation.arrays.HELD", 0)
    monkeypatch.setattr(ranking, "TILE", 16)
    mapped = rank_queries(rows[:30], labels[:30], np.load(file, mmap_mode="c"), labels[30:])
    np.testing.assert_array_equal(whole.neighbours, mapped.neighbours)
    np.testing.assert_array_equal(whole.ap, mapped.ap)


def test_equal_rows_are_ranked_whole(monkeypatch):
    """More equal rows than are gathered: the first of them come first, others before those of one's label."""
    monkeypatch.setattr(nearest, "SPARE", 0)
    results = rank_queries(np.ones((12, 3)), [0, 0, 0, *range(1, 10)], neighbours=4)
    np.testing.assert_array_equal(results.neighbours[0], [3, 4, 5, 6])
    np.testing.assert_array_equal(results.neighbours[11], [0, 1, 2, 3])
    assert results.first_rank[0] == 10
