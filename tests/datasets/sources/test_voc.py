"""Pascal VOC from its official layout, downloaded, and cut to the long-tailed lists."""

import tarfile

import pytest
from support.multilabel import write_lists, write_voc
from support.pictures import dataset
from support.sources import fetched, refused

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.published import VOC_LT
from fieldmark.datasets.sources import voc
from fieldmark.datasets.sources.voc import Voc, VocParams

TRAIN = "VOCdevkit/VOC2012/JPEGImages/2012_trainval_0.jpg 14 1\nVOCdevkit/VOC2012/JPEGImages/2012_trainval_2.jpg 11 \n"
TEST = "VOCdevkit/VOC2007/JPEGImages/2007_test_1.jpg 11 14\nVOCdevkit/VOC2007/JPEGImages/2007_test_2.jpg"


@pytest.fixture
def twin(tmp_path):
    write_voc(tmp_path / "data" / "VOCdevkit")
    return tmp_path / "data"


@pytest.fixture
def lists(tmp_path):
    return write_lists(tmp_path / "lists", "voc", TRAIN, TEST)


def records_of(tmp_path, **settings):
    return fetched(Voc(VocParams(**settings)), tmp_path / "raw" / "voc")


@pytest.mark.parametrize("inner", ["", "VOCdevkit"])
def test_reads_the_official_sets_with_difficult_objects(tmp_path, twin, inner):
    records = records_of(tmp_path, path=str(twin / inner))
    assert [(one.id, one.split, one.labels) for one in records[:3]] == [
        ("VOC2007/2007_trainval_0", "train", ("dog",)),
        ("VOC2007/2007_trainval_1", "train", ("cat", "sofa")),
        ("VOC2012/2012_trainval_0", "train", ("bicycle", "person")),
    ]
    assert [one.split for one in records] == ["train"] * 6 + ["test"] * 3
    assert (records[0].class_name, records[0].group, records[-1].labels) == (None, "VOC2007", ("train",))
    assert records[0].image.read_bytes()[:2] == b"\xff\xd8"


def test_the_lists_choose_pictures_roles_and_labels(tmp_path, twin, lists, caplog):
    records = records_of(tmp_path, path=str(twin), lists=lists)
    assert [(one.id, one.split, one.labels) for one in records] == [
        ("VOC2012/2012_trainval_0", "train", ("bicycle", "person")),
        ("VOC2012/2012_trainval_2", "train", ("dog",)),
        ("VOC2007/2007_test_1", "test", ("dog", "person")),
        ("VOC2007/2007_test_2", "test", ()),
    ]
    assert "2 pictures, not 1142" in caplog.text
    assert "1 pictures have other labels in the list" in caplog.text


def test_downloads_verifies_and_unpacks_what_the_lists_need(tmp_path, twin, lists, monkeypatch):
    asked = []

    def fake_download(url, path, **expected):
        asked.append(url.removeprefix("https://thor.robots.ox.ac.uk/pascal/VOC/"))
        assert len(expected["md5"]) == 32
        path.parent.mkdir(parents=True, exist_ok=True)
        year = "VOC2012" if "2012" in url else "VOC2007"
        with tarfile.open(path, "w") as tar:
            tar.add(twin / "VOCdevkit" / year, f"VOCdevkit/{year}")

    monkeypatch.setattr(voc, "download", fake_download)
    assert len(records_of(tmp_path, lists=lists)) == 4
    assert asked == ["voc2007/VOCtest_06-Nov-2007.tar", "voc2012/VOCtrainval_11-May-2012.tar"]
    assert not (tmp_path / "raw" / "voc" / "source.json").exists()


def test_downloaded_lists_must_be_the_published_ones(tmp_path, twin, monkeypatch):
    def fake_download(url, path, size):
        assert url.endswith("/data/voc/voc_lt_train.txt")
        assert size == VOC_LT.train.size
        path.parent.mkdir(parents=True)
        path.write_text(TRAIN)

    monkeypatch.setattr("fieldmark.datasets.acquire.published.download", fake_download)
    with pytest.raises(UserError, match="is not the published list of VOC-LT: 2 pictures, not 1142"):
        records_of(tmp_path, path=str(twin), lists="published")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: (f / "VOC2007/Annotations/2007_test_0.xml").write_text("<a"), "no annotation in XML"),
        (lambda f: (f / "VOC2007/Annotations/2007_test_0.xml").unlink(), "does not exist"),
        (
            lambda f: (f / "VOC2007/Annotations/2007_test_0.xml").write_text(
                "<annotation><object><name>unicorn</name></object></annotation>"
            ),
            "unicorn",
        ),
        (lambda f: (f / "VOC2007/JPEGImages/2007_test_0.jpg").unlink(), "1 pictures of test.txt are missing"),
        (lambda f: [one.unlink() for one in f.glob("*/ImageSets/Main/*.txt")], "ImageSets"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, twin, harm, message):
    harm(twin / "VOCdevkit")
    with refused(message):
        records_of(tmp_path, path=str(twin))


def test_other_folders_and_missing_lists_are_refused(tmp_path, twin):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="official layout"):
        records_of(tmp_path, path=str(tmp_path / "empty"))
    with pytest.raises(UserError, match="there is no list"):
        records_of(tmp_path, path=str(twin), lists=str(tmp_path / "empty"))


def test_a_list_with_a_picture_that_is_not_there_is_refused(tmp_path, twin, lists):
    (twin / "VOCdevkit/VOC2007/JPEGImages/2007_test_2.jpg").unlink()
    with pytest.raises(UserError, match="2007_test_2"):
        records_of(tmp_path, path=str(twin), lists=lists)


def test_a_changed_folder_is_noticed(tmp_path, twin):
    source = Voc(VocParams(path=str(twin)))
    source.fetch(tmp_path / "raw")
    (twin / "VOCdevkit/VOC2007/JPEGImages/2007_test_2.jpg").write_bytes(b"another size")
    with pytest.raises(UserError, match="has changed"):
        source.records(tmp_path / "raw")


def test_the_block_of_params_is_checked():
    with pytest.raises(UserError, match="path"):
        dataset("voc", {"pth": "x"})


def rewrite(twin, data):
    (twin / "VOCdevkit/VOC2007/Annotations/2007_trainval_0.xml").write_bytes(data)


@pytest.mark.parametrize("encoding", ["gb2312", "shift_jis", "latin-1", "utf-8", "utf-16", "utf-8-sig"])
def test_an_annotation_is_read_in_the_encoding_that_it_declares(tmp_path, twin, encoding):
    declared = encoding.removesuffix("-sig")
    text = (
        f'<?xml version="1.0" encoding="{declared}"?>\n<annotation><folder>{{}}</folder>'
        "<object><name>dog</name></object></annotation>"
    )
    word = "caf\u00e9" if encoding == "latin-1" else "\u4e2d"
    rewrite(twin, text.format(word).encode(encoding))
    assert records_of(tmp_path, path=str(twin))[0].labels == ("dog",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<?xml version="1.0" encoding="gb2312"?><annotation>\xff\xff</annotation>', "save it in UTF-8"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "in the encoding that it declares"),
        (b"<html><object><name>dog</name></object></html>", "begins with <html>, not with <annotation>"),
        (b"<annotation><object/></annotation>", "an object without a name"),
        (
            b"<annotation><object><name>a\nb</name></object></annotation>",
            r"the object 'a\\nb', which is none",
        ),
        (b"", "is no annotation in XML"),
    ],
)
def test_a_damaged_annotation_is_one_line(tmp_path, twin, data, message):
    rewrite(twin, data)
    with refused("2007_trainval_0.xml .*" + message):
        records_of(tmp_path, path=str(twin))


def test_archives_that_a_mirror_ships_in_folders_of_their_own_are_all_read(tmp_path, twin):
    expected = [one.id for one in records_of(tmp_path, path=str(twin))]
    for year in ("VOC2007", "VOC2012"):
        place = twin / f"{year}_archive" / "VOCdevkit"
        place.mkdir(parents=True)
        (twin / "VOCdevkit" / year).rename(place / year)
    (twin / "VOCdevkit").rmdir()
    assert [one.id for one in records_of(tmp_path, path=str(twin))] == expected


def test_a_set_that_is_not_there_is_said(tmp_path, twin, caplog):
    (twin / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").unlink()
    assert len(records_of(tmp_path, path=str(twin))) == 6
    assert "0 pictures of VOC2007 test, the published list has 4952" in caplog.text
