"""Counting in float32 tiles gives exactly what float64 gives, also where float32 cannot tell rows apart."""

import numpy as np
import pytest
import torch

from fieldmark.evaluation import nearest, ranking, shortlist, tiles
from fieldmark.evaluation.arrays import Rows
from fieldmark.evaluation.ranking import TIE
from fieldmark.evaluation.retrieval import RetrievalResults, rank_queries, retrieval_metrics
from fieldmark.evaluation.shortlist import ShortCounter
from fieldmark.evaluation.tiles import Pair, error_bound, reaching


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


def ranked_slowly(kind, alone, classes):
    """Arguments of `rank_queries` for 70 rows, alone or 20 of them as queries, and what `slow_ranking` finds."""
    rows, labels = close(kind, 5, 70), np.random.default_rng(7).integers(classes, size=70)
    if alone:
        return (rows, labels), slow_ranking(rows, labels, rows, labels, alone)
    sides = (rows[:20], labels[:20], rows[20:], labels[20:])
    return sides, slow_ranking(*sides, alone)


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
    {"MANY": 10**9, "DENSE": 0},
    {"MANY": 10**9, "DENSE": 10**9},
    {"MANY": 0},
    {"MANY": 10**9, "PAIRS": 20},
]


@pytest.mark.parametrize("limits", [{}, {"POSITIVES": 20, "PAIRS": 300}, *FORCED])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("kind", ["apart", "near", "equal"])
def test_ranks_are_those_of_float64(monkeypatch, kind, alone, limits):
    monkeypatch.setattr(tiles, "TILE", 13)
    for name, value in limits.items():
        for module in (tiles, ranking, nearest):
            if name in vars(module):
                monkeypatch.setattr(module, name, value)
    given, expected = ranked_slowly(kind, alone, classes=6)
    agree(rank_queries(*given, neighbours=5), expected)


@pytest.mark.parametrize(
    "limits", [{}, {"CROWDED": 0}, {"CROWDED": 10**9}, {"REFRESH": 0}, {"REFRESH": 10**9}]
)
@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("kind", ["apart", "near", "equal"])
@pytest.mark.parametrize("depth", [1, 8])
def test_first_ranks_are_those_of_float64(monkeypatch, kind, alone, rounded, limits, depth):
    monkeypatch.setattr(tiles, "TILE", 13)
    monkeypatch.setattr(shortlist, "bfloat16_is_faster", lambda device: rounded)
    for name, value in limits.items():
        monkeypatch.setattr(shortlist, name, value)
    given, (expected, _) = ranked_slowly(kind, alone, classes=20)
    found = rank_queries(*given, neighbours=0, depth=depth)
    beyond = 0
    for number, ranks in enumerate(expected):
        limit = max(depth, len(ranks))
        if ranks and ranks[0] > limit:
            beyond += 1
            assert found.first_rank[number] == limit + 1
        else:
            assert found.first_rank[number] == (ranks[0] if ranks else 0)
        within = [(place + 1) / rank for place, rank in enumerate(ranks) if rank <= len(ranks)]
        assert found.ap_at_r[number] == pytest.approx(sum(within) / max(len(ranks), 1), abs=1e-12)
        assert found.r_precision[number] == pytest.approx(len(within) / max(len(ranks), 1), abs=1e-12)
    assert beyond > 0 or depth > 1


@pytest.mark.parametrize("kind", ["apart", "near", "equal"])
def test_measures_without_map_are_those_with_it(kind):
    rows, labels = close(kind, 3, 120), np.arange(120) % 40
    whole = retrieval_metrics(rows, labels, ks=(1, 3))
    del whole["map"]
    assert retrieval_metrics(rows, labels, ks=(1, 3), full=False) == whole


def test_few_candidates_are_left_once_the_first_are_known(monkeypatch):
    """The point of it: of a long gallery nearly nothing is compared in float32."""
    monkeypatch.setattr(tiles, "TILE", 50)
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(2000, 64)), np.arange(2000) % 500
    compared = []
    reached = ShortCounter.reached
    monkeypatch.setattr(
        ShortCounter,
        "reached",
        lambda self, query, *rest: (compared.append(len(query)), reached(self, query, *rest))[1],
    )
    rank_queries(rows, labels, neighbours=0, depth=1)
    assert sum(compared) < 0.05 * 2000 * 2000


@pytest.mark.parametrize("kind", ["apart", "near", "equal"])
@pytest.mark.parametrize("depth", [None, 2])
def test_ranks_do_not_depend_on_threads(monkeypatch, kind, depth):
    monkeypatch.setattr(tiles, "TILE", 16)
    rows, labels = close(kind, 4, 300), np.arange(300) % 60
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(rank_queries(rows, labels, neighbours=0 if depth else 4, depth=depth))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for name in ("first_rank", "ap_at_r", "r_precision", "neighbours"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))


def test_a_fault_in_a_thread_is_raised(monkeypatch):
    def fail(*_):
        raise MemoryError("no room for a tile")

    monkeypatch.setattr(Pair, "product", fail)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(MemoryError, match="no room for a tile"):
            rank_queries(close("apart", 4, 30), np.arange(30) % 6)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("width", [1, 7, 64, 96])
def test_all_that_reach_the_floor_of_their_row_are_found(width):
    """Above all where similarities and floors are negative, zero of either sign, or hidden."""
    few = torch.tensor([-torch.inf, -1.0, -0.25, -0.0, 0.0, 2.0**-130, 0.25, 1.0], dtype=torch.bfloat16)
    generator = torch.Generator().manual_seed(width)
    similarity = few[torch.randint(8, (40, width), generator=generator)]
    floors = few.repeat(5)
    expected = similarity >= floors[:, None]
    for one in (
        similarity,
        similarity.T.contiguous().T,
        similarity.float(),
        similarity.float().T.contiguous().T,
    ):
        found = torch.zeros_like(expected)
        found[reaching(one, floors.to(one.dtype))] = True
        assert (found | ~expected).all()
        assert (found == expected)[floors > 0].all()
        assert one.dtype == torch.bfloat16 or (found == expected).all()


def test_tiles_hold_each_pair_once():
    """However many rows there are: the first tiles are narrow, and of a search among themselves half are enough."""
    for rows, alone in [(1, True), (5, True), (70, True), (70, False), (1500, True)]:
        both, codes = Rows(np.ones((rows, 2)), "rows"), torch.zeros(rows, dtype=torch.int64)
        seen = torch.zeros(rows, rows, dtype=torch.int64)
        found = list(Pair(both, both, codes, codes, alone).tiles(slice(0, rows)))
        for tile in found:
            seen[tile.rows, tile.columns] += 1
            if tile.mirrored:
                seen[tile.columns, tile.rows] += 1
        assert (seen == 1).all()
        assert found[0].columns.stop <= tiles.TILE // tiles.GROWTH


@pytest.mark.parametrize("dim", [1, 7, 384, 2048])
@pytest.mark.parametrize("kind", ["apart", "near"])
def test_the_error_of_bfloat16_is_within_its_bound(monkeypatch, dim, kind):
    """Up to the rounding of the product itself, which keeps the order."""
    monkeypatch.setattr(shortlist, "bfloat16_is_faster", lambda device: True)
    rows, codes = Rows(close(kind, dim, 200, dim), "rows"), torch.zeros(200, dtype=torch.int64)
    counter = ShortCounter(Pair(rows, rows, codes, codes, alone=True), slice(0, 200), 1)
    whole = slice(0, 200)
    exact, low = rows.exact(whole), rows.rounded(whole)
    product = low @ low.T
    assert product.dtype == torch.bfloat16
    assert (product >= (exact @ exact.T - counter.off).bfloat16()).all()
    assert (product <= (exact @ exact.T + counter.off).bfloat16()).all()


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
    monkeypatch.setattr(tiles, "TILE", 16)
    mapped = rank_queries(rows[:30], labels[:30], np.load(file, mmap_mode="c"), labels[30:])
    np.testing.assert_array_equal(whole.neighbours, mapped.neighbours)
    np.testing.assert_array_equal(whole.ap, mapped.ap)
    monkeypatch.setattr(shortlist, "bfloat16_is_faster", lambda device: True)
    first = rank_queries(rows[:30], labels[:30], np.load(file, mmap_mode="c"), labels[30:], 0, depth=3)
    np.testing.assert_array_equal(first.ap_at_r, whole.ap_at_r)


def test_equal_rows_are_ranked_whole(monkeypatch):
    """More equal rows than are gathered: the first of them come first, others before those of one's label."""
    monkeypatch.setattr(nearest, "SPARE", 0)
    results = rank_queries(np.ones((12, 3)), [0, 0, 0, *range(1, 10)], neighbours=4)
    np.testing.assert_array_equal(results.neighbours[0], [3, 4, 5, 6])
    np.testing.assert_array_equal(results.neighbours[11], [0, 1, 2, 3])
    assert results.first_rank[0] == 10
