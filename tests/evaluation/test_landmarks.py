"""The revisited landmark protocol against a loop over the ranking, and by hand."""

import numpy as np
import pytest
import torch

from fieldmark.evaluation import revisited_map
from fieldmark.evaluation.landmarks import revisited_average_precision, revisited_precision


def slow_average_precision(scores, positives, ignored):
    """Walk down the ranking, dropping ignored images, adding the area of one trapezoid a positive."""
    ranking = sorted(range(len(scores)), key=lambda row: (-scores[row], row in positives))
    seen, hits, area, previous = 0, 0, 0.0, 1.0
    for row in ranking:
        if row in ignored:
            continue
        seen += 1
        if row in positives:
            hits += 1
            area += (previous + hits / seen) / 2 / len(positives)
        previous = hits / seen
    return area


def random_lists(rng, database):
    shuffled = rng.permutation(database)
    cuts = np.sort(rng.integers(database // 2, size=3))
    return shuffled[: cuts[0]], shuffled[cuts[0] : cuts[1]], shuffled[cuts[1] : cuts[2]]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("protocol", ["easy", "medium", "hard"])
@pytest.mark.parametrize("tied", [False, True])
def test_equals_a_slow_walk(seed, protocol, tied):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(4, size=(40, 7)) / 4 if tied else rng.normal(size=(40, 7))
    easy, hard, junk = zip(*(random_lists(rng, 40) for _ in range(7)), strict=True)
    expected = []
    for query in range(7):
        e, h, j = set(easy[query]), set(hard[query]), set(junk[query])
        positives = {"easy": e, "medium": e | h, "hard": h}[protocol]
        ignored = {"easy": h | j, "medium": j, "hard": e | j}[protocol]
        if positives:
            expected.append(slow_average_precision(similarity[:, query], positives, ignored))
    found = revisited_map(torch.tensor(similarity), easy, hard, junk, protocol)
    assert found == pytest.approx(np.mean(expected))


def slow_precision(scores, positives, ignored, k):
    """Walk down the ranking, dropping ignored images, up to the k-th or the last positive, whichever comes first."""
    ranking = sorted(range(len(scores)), key=lambda row: (-scores[row], row in positives))
    kept = [row for row in ranking if row not in ignored]
    seen = hits = 0
    for row in kept:
        if seen == k or hits == len(positives):
            break
        seen += 1
        hits += row in positives
    return hits / seen


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("protocol", ["easy", "medium", "hard"])
@pytest.mark.parametrize("k", [1, 5, 10, 100])
def test_precision_equals_a_slow_walk(seed, protocol, k):
    rng = np.random.default_rng(seed)
    similarity = rng.integers(9, size=(40, 7)) / 9 if seed % 2 else rng.normal(size=(40, 7))
    easy, hard, junk = zip(*(random_lists(rng, 40) for _ in range(7)), strict=True)
    found = revisited_precision(similarity, easy, hard, junk, protocol, k)
    for query in range(7):
        e, h, j = set(easy[query]), set(hard[query]), set(junk[query])
        positives = {"easy": e, "medium": e | h, "hard": h}[protocol]
        ignored = {"easy": h | j, "medium": j, "hard": e | j}[protocol]
        if positives:
            expected = slow_precision(similarity[:, query], positives, ignored, k)
            assert found[query] == pytest.approx(expected)
        else:
            assert np.isnan(found[query])


def test_precision_by_hand():
    # Ranking: 0 hard, 1 negative, 2 easy, 3 junk, 4 easy: without junk, positives at ranks 1, 3 and 4.
    similarity = np.array([[0.9], [0.8], [0.7], [0.6], [0.5]])
    lists = [[2, 4]], [[0]], [[3]]
    assert revisited_precision(similarity, *lists, "medium", 2) == pytest.approx([1 / 2])
    assert revisited_precision(similarity, *lists, "medium", 10) == pytest.approx(
        [3 / 4]
    )  # of four, not of ten
    assert revisited_precision(similarity, *lists, "hard", 10) == pytest.approx([1])
    with pytest.raises(ValueError, match="k must be at least 1"):
        revisited_precision(similarity, *lists, "hard", 0)


def test_by_hand():
    # Ranking: 0 hard, 1 negative, 2 easy, 3 junk, 4 easy. Medium positives at ranks 0, 2, 3 (junk gone).
    similarity = np.array([[0.9], [0.8], [0.7], [0.6], [0.5]])
    lists = [[2, 4]], [[0]], [[3]]
    medium = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2 + (2 / 3 + 3 / 4) / 2) / 3
    assert revisited_map(similarity, *lists, "medium") == pytest.approx(medium)
    # Hard: only image 0 counts, the easy ones are ignored.
    assert revisited_map(similarity, *lists, "hard") == pytest.approx(1)
    # Easy: image 0 is ignored, so the negative ranks first: precisions 0, 1/2 then 1/2, 2/3.
    assert revisited_map(similarity, *lists, "easy") == pytest.approx(
        ((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2
    )


def test_queries_without_positives_are_skipped():
    similarity = np.array([[0.9, 0.9], [0.1, 0.1]])
    precision = revisited_average_precision(similarity, [[0], []], [[], []], [[], []], "easy")
    assert precision[0] == 1
    assert np.isnan(precision[1])
    assert revisited_map(similarity, [[0], []], [[], []], [[], []], "easy") == 1
    assert revisited_map(similarity, [[], []], [[], []], [[], []], "medium") == 0


def test_constant_similarity_earns_nothing_by_luck():
    assert revisited_map(np.ones((100, 1)), [[5]], [[]], [[]], "easy") == pytest.approx((0 + 1 / 100) / 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 1)), [[0]], [[1]], [[]], "expert"), "protocol must be one of easy, medium, hard"),
        ((np.full((3, 1), np.nan), [[0]], [[1]], [[]], "easy"), "without NaN"),
        ((np.ones(3), [[0]], [[1]], [[]], "easy"), "database, queries"),
        ((np.ones((3, 1)), [[3]], [[1]], [[]], "easy"), "outside a database of 3"),
        ((np.ones((3, 1)), [[-1]], [[1]], [[]], "easy"), "outside a database of 3"),
        ((np.ones((3, 1)), [[0]], [[1]], [[0]], "easy"), "both positive and ignored"),
        ((np.ones((3, 2)), [[0]], [[1]], [[]], "easy"), "one list a query"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        revisited_map(*arguments)
