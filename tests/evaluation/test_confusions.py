"""Per-class recall and confusion pairs, by hand and against loops."""

from itertools import pairwise

import numpy as np
import pytest

from fieldmark.evaluation.confusions import class_recall, hardest_confusions
from fieldmark.evaluation.retrieval import rank_queries


def at(degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_by_hand():
    # a: 0 and 2 find each other, 40 finds b; b: 41 finds a, 90 finds b; c is alone and skipped.
    results = rank_queries(at([0, 2, 40, 41, 90, 180]), ["a", "a", "a", "b", "b", "c"])
    recall = class_recall(results)
    assert recall.labels.tolist() == ["b", "a"]
    assert recall.recall.tolist() == pytest.approx([1 / 2, 2 / 3])
    assert recall.queries.tolist() == [2, 3]
    first, second = hardest_confusions(results)
    assert (first.label, first.taken_for, first.count, first.fraction) == ("b", "a", 1, 0.5)
    assert (first.query, first.neighbour) == (3, 2)
    assert (second.label, second.taken_for, second.fraction) == ("a", "b", pytest.approx(1 / 3))


def test_against_loops():
    rng = np.random.default_rng(0)
    labels = rng.integers(6, size=80)
    results = rank_queries(rng.normal(size=(80, 4)) + rng.normal(size=(6, 4))[labels], labels)
    pairs = {}
    for query, best in enumerate(results.neighbours[:, 0]):
        if labels[query] != labels[best]:
            pairs.setdefault((labels[query], labels[best]), []).append(query)
    found = hardest_confusions(results, n=100)
    assert {(one.label, one.taken_for): one.count for one in found} == {k: len(v) for k, v in pairs.items()}
    assert all(a.fraction >= b.fraction for a, b in pairwise(found))
    assert len(hardest_confusions(results, n=3)) == 3
    recall = class_recall(results)
    for label, value in zip(recall.labels, recall.recall, strict=True):
        hits = [labels[results.neighbours[query, 0]] == label for query in np.flatnonzero(labels == label)]
        assert value == pytest.approx(np.mean(hits))


def test_nothing_to_confuse():
    perfect = rank_queries(at([0, 1, 90, 91]), [0, 0, 1, 1])
    assert hardest_confusions(perfect) == []
    alone = rank_queries(np.ones((1, 2)), [0])
    assert hardest_confusions(alone) == []
    assert class_recall(alone).labels.size == 0
