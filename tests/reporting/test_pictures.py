"""Sheets of what a retrieval found: the right pictures in the right places, marked by the labels."""

import numpy as np
import pytest
from reporting.example import HOSTILE
from reporting.sheet import picture, rows_in, texts

from fieldmark.evaluation.confusions import hardest_confusions
from fieldmark.evaluation.retrieval import rank_queries
from fieldmark.figures.pictures import (
    confusion_pairs,
    neighbour_gallery,
    representative_queries,
)
from fieldmark.figures.style import RIGHT, WRONG


def at(degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.fixture
def results():
    return rank_queries(at([0, 3, 10, 12, 50]), [0, 0, 1, 1, 1], neighbours=3)


def test_gallery_shows_each_query_and_its_neighbours(tmp_path, results):
    neighbour_gallery(tmp_path / "a.svg", results, [0, 2], picture, {0: HOSTILE, 1: "tit"})
    assert rows_in(tmp_path / "a.svg") == [0, 1, 2, 3, 2, 3, 1, 0]
    drawn = (tmp_path / "a.svg").read_text()
    assert (drawn.count(f'stroke="{RIGHT}"'), drawn.count(f'stroke="{WRONG}"')) == (2, 4)
    shown = texts(tmp_path / "a.svg")
    assert f"✓ {np.cos(np.radians(3)):.2f}" in shown
    assert f"✗ {np.cos(np.radians(10)):.2f}" in shown
    assert HOSTILE[:10] in " ".join(shown)
    assert "<script" not in drawn


def test_gallery_takes_neighbours_from_the_gallery(tmp_path):
    found = rank_queries(at([0]), ["a"], at([80, 1]), ["b", "a"])
    neighbour_gallery(
        tmp_path / "a.svg", found, [0], picture, gallery_picture=lambda row: picture(row + 40), shown=5
    )
    assert rows_in(tmp_path / "a.svg") == [0, 41, 40]


def test_confusions_show_the_clearest_case(tmp_path, results):
    confusions = hardest_confusions(results)
    confusion_pairs(tmp_path / "a.svg", confusions, picture, {0: "finch", 1: "tit"})
    assert rows_in(tmp_path / "a.svg") == [row for one in confusions for row in (one.query, one.neighbour)]


def test_no_confusions_say_so(tmp_path):
    confusion_pairs(tmp_path / "a.svg", [], picture)
    assert texts(tmp_path / "a.svg") == ["nothing to show"]


def test_queries_are_chosen_by_rule_from_worst_to_best():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 6)
    found = rank_queries(rng.normal(size=(60, 5)) + 1.5 * rng.normal(size=(10, 5))[labels], labels)
    chosen = representative_queries(found, 5)
    assert chosen == representative_queries(found, 5)
    assert len({labels[query] for query in chosen}) == 5
    precision = found.ap[chosen]
    assert precision[0] < np.median(found.ap) < precision[-1]


def test_fewer_queries_or_classes_than_wanted():
    found = rank_queries(at([0, 1, 2, 90]), [0, 0, 0, 1])
    assert sorted(representative_queries(found, 6)) == [0, 1, 2]
    assert representative_queries(rank_queries(np.ones((1, 2)), [0])) == []
