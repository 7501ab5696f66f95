"""The long-tailed lists: their format, and the published counts where the lists themselves are at hand."""

import pytest
from support.pictures import SHARED
from support.sources import refused

from fieldmark.datasets.acquire.published import (
    COCO_LT,
    VOC_LT,
    Facts,
    count_labels,
    difference,
    named,
    read_list,
)
from fieldmark.longtail.frequency import frequency_masks

LISTS = SHARED / "longtail"  # the four lists of the LMPT repository, to be put there by hand
VOC_HEAD, VOC_TAIL = [4, 6, 8, 10, 14, 15], [0, 2, 3, 5, 9, 12, 16, 18]


def written(tmp_path, text):
    path = tmp_path / "voc_lt_train.txt"
    path.write_text(text)
    return path


def test_a_list_is_read_with_trailing_blanks_and_pictures_without_labels(tmp_path):
    labels = read_list(written(tmp_path, "a/b/1.jpg 14 4 \n\na/b/2.jpg\na/b/3.jpg 4"), 20)
    assert labels == {"a/b/1.jpg": (14, 4), "a/b/2.jpg": (), "a/b/3.jpg": (4,)}
    assert count_labels(labels, 20)[4] == 2
    assert sum(count_labels(labels, 20)) == 3
    assert named(labels, [f"class {n:02d}" for n in range(20)])["a/b/1.jpg"] == ("class 04", "class 14")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg 20", "line 1 should be a path and different indices below 20"),
        ("a.jpg 1\nb.jpg -1", "line 2"),
        ("a.jpg 1 1", "different indices"),
        ("a.jpg cat", "indices"),
        ("a.jpg 1\na.jpg 2", "twice"),
        ("../a.jpg 1", "outside"),
        ("/a.jpg 1", "outside"),
        ("\n", "names no picture"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_in_one_line(tmp_path, text, message):
    with refused(message):
        read_list(written(tmp_path, text), 20)


def test_every_known_fact_is_compared():
    labels = {"1": (0, 1), "2": (0,)}
    assert difference(labels, 2, Facts(9, 2, (2, 1), 1, 2, (), (0, 1))) == ""
    assert difference(labels, 2, Facts(9, 3)) == "2 pictures, not 3"
    assert "1 classes with other counts" in difference(labels, 2, Facts(9, 2, (2, 2)))
    assert "rarest" in difference(labels, 2, Facts(9, 2, min_count=3))
    assert "most frequent" in difference(labels, 2, Facts(9, 2, max_count=3))
    assert "classes of the head" in difference(labels, 2, Facts(9, 2, head=(1,)))
    assert "classes of the tail" in difference(labels, 2, Facts(9, 2, tail=(1,)))


def test_the_published_counts_agree_with_each_other():
    counts = VOC_LT.train.counts
    groups = frequency_masks(counts)
    assert groups["head"].nonzero()[0].tolist() == VOC_HEAD
    assert groups["tail"].nonzero()[0].tolist() == VOC_TAIL
    assert max(counts) / min(counts) == 193.75
    assert sum(counts) / VOC_LT.train.pictures == pytest.approx(2.054, abs=5e-4)
    assert sum(VOC_LT.test.counts) / VOC_LT.test.pictures == pytest.approx(1.541, abs=5e-4)
    head, tail = set(COCO_LT.train.head), set(COCO_LT.train.tail)
    assert (len(head), 80 - len(head | tail), len(tail)) == (22, 33, 25)
    assert COCO_LT.train.max_count / COCO_LT.train.min_count == 188


@pytest.mark.skipif(not LISTS.is_dir(), reason="the published lists are not here")
@pytest.mark.parametrize("published", [VOC_LT, COCO_LT], ids=lambda one: one.name)
def test_the_lists_have_the_published_counts(published):
    found = {role: read_list(LISTS / published.file(role), published.classes) for role in published.lists()}
    for role, facts in published.lists().items():
        assert (LISTS / published.file(role)).stat().st_size == facts.size
        assert difference(found[role], published.classes, facts) == ""
    per_picture = {"VOC-LT": (2.054, 1.541), "COCO-LT": (4.356, 2.926)}[published.name]
    for role, expected in zip(("train", "test"), per_picture, strict=True):
        labels = found[role].values()
        assert sum(map(len, labels)) / len(labels) == pytest.approx(expected, abs=5e-4)
    assert sum(not one for one in found["test"].values()) == {"VOC-LT": 0, "COCO-LT": 48}[published.name]
