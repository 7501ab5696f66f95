"""COCO 2017 from its official layout, downloaded, and cut to the long-tailed lists."""

import json
import zipfile

import pytest
from support.multilabel import write_coco, write_lists
from support.sources import fetched, refused

from fieldmark.base.errors import UserError
from fieldmark.datasets.sources import coco
from fieldmark.datasets.sources.coco import Coco, CocoParams

TRAIN = "train2017/000000000000.jpg 0 2 \ntrain2017/000000000002.jpg 3 0 \n"
TEST = "val2017/000000000001.jpg\nval2017/000000000002.jpg 2\n"


@pytest.fixture
def twin(tmp_path):
    write_coco(tmp_path / "data" / "coco")
    return tmp_path / "data"


@pytest.fixture
def lists(tmp_path):
    return write_lists(tmp_path / "lists", "coco", TRAIN, TEST)


def records_of(tmp_path, **settings):
    return fetched(Coco(CocoParams(**settings)), tmp_path / "raw" / "coco")


@pytest.mark.parametrize("inner", ["", "coco"])
def test_reads_labels_and_sentences(tmp_path, twin, inner):
    records = records_of(tmp_path, path=str(twin / inner))
    assert [(one.id, one.split, one.labels) for one in records] == [
        ("train2017/000000000000.jpg", "train", ("cat", "person")),
        ("train2017/000000000001.jpg", "train", ("cat",)),
        ("train2017/000000000002.jpg", "train", ("person", "toothbrush")),
        ("train2017/000000000003.jpg", "train", ()),
        ("val2017/000000000000.jpg", "test", ("person",)),
        ("val2017/000000000001.jpg", "test", ()),  # a car without area
        ("val2017/000000000002.jpg", "test", ("cat", "toothbrush")),
    ]
    assert records[0].captions == ("Sentence 0 of 000000000000.jpg", "Sentence 1 of 000000000000.jpg")
    assert not records_of(tmp_path, path=str(twin), captions=False)[0].captions
    assert Coco(CocoParams(captions=False)).promises["captions"] is False


def test_the_lists_choose_pictures_roles_and_labels(tmp_path, twin, lists, caplog):
    records = records_of(tmp_path, path=str(twin), lists=lists)
    assert [(one.id, one.split, one.labels) for one in records] == [
        ("train2017/000000000000.jpg", "train", ("cat", "person")),
        ("train2017/000000000002.jpg", "train", ("person", "toothbrush")),
        ("val2017/000000000001.jpg", "test", ()),
        ("val2017/000000000002.jpg", "test", ("cat",)),
    ]
    assert records[0].captions
    assert "2 pictures, not 1909" in caplog.text
    assert "1 pictures have other labels in the list" in caplog.text


def zipped(twin, inner, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((twin / "coco" / inner).iterdir()):
            archive.write(file, f"{inner}/{file.name}")


@pytest.mark.parametrize("with_lists", [False, True])
def test_downloads_verifies_and_unpacks_what_is_needed(tmp_path, twin, lists, monkeypatch, with_lists):
    asked = []

    def fake_download(url, path, **expected):
        place = url.removeprefix("http://images.cocodataset.org/")
        asked.append(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if place.endswith(".zip"):
            assert len(expected["md5"]) == 32
            zipped(twin, "annotations" if "annotations" in place else place[5:-4], path)
        else:
            path.write_bytes((twin / "coco" / place).read_bytes())

    monkeypatch.setattr(coco, "download", fake_download)
    records = records_of(tmp_path, **({"lists": lists} if with_lists else {}))
    assert len(records) == (4 if with_lists else 7)
    assert all(one.image.is_file() for one in records)
    assert ("zips/train2017.zip" in asked) is not with_lists
    assert asked.count("train2017/000000000002.jpg") == with_lists
    assert not (tmp_path / "raw" / "coco" / "unpacked").exists()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "annotations/instances_train2017.json").write_text("{"), "no JSON"),
        (
            lambda f: (f / "annotations/instances_train2017.json").write_text('{"images": []}'),
            "COCO's format",
        ),
        (lambda f: (f / "annotations/captions_val2017.json").unlink(), "does not exist"),
        (lambda f: (f / "val2017/000000000001.jpg").unlink(), "1 pictures of the annotations are missing"),
        (lambda f: (f / "annotations/instances_val2017.json").unlink(), "instances_val2017.json is missing"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, twin, harm, message):
    harm(twin / "coco")
    with refused(message):
        records_of(tmp_path, path=str(twin))


def test_a_list_with_an_unknown_picture_is_refused(tmp_path, twin, lists):
    path = twin / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    content["images"] = content["images"][:2]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="which the annotations lack"):
        records_of(tmp_path, path=str(twin), lists=lists)
