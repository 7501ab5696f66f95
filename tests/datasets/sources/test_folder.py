import os

import pytest
from support.pictures import dataset, encoded, noise
from support.sources import fetched, refused

from fieldmark.base.errors import UserError
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.sources.folder import Folder, FolderParams


@pytest.fixture
def photos(tmp_path):
    for number, place in enumerate(["wren/b.jpg", "wren/a.JPG", "owl/1.png"]):
        path = tmp_path / "photos" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(number)))
    return tmp_path / "photos"


def records_of(photos, csv=None):
    return fetched(Folder(FolderParams(path=str(photos), csv=csv)), photos.parent / "raw")


def write_csv(photos, text):
    (photos / "labels.csv").write_text(text, encoding="utf-8")
    return records_of(photos, "labels.csv")


def test_class_folders_sorted_by_path_without_what_is_no_picture(photos):
    for name in ("notes.txt", "wren/._a.jpg", ".thumbnails/x.jpg", "wren/Thumbs.db"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_text("no picture")
    records = records_of(photos)
    assert [(item.id, item.class_name, item.split) for item in records] == [
        ("owl/1.png", "owl", None),
        ("wren/a.JPG", "wren", None),
        ("wren/b.jpg", "wren", None),
    ]
    assert records[0].image == photos / "owl" / "1.png"


def test_a_csv_gives_labels_and_split_in_its_own_order(photos):
    rows = [
        "path,label,split,by",
        "wren/b.jpg,Wren,train,me",
        "./owl/1.png, Little Owl ,test,me",
        "wren/a.JPG,Wren,,",
    ]
    records = write_csv(photos, "\ufeff" + "\n".join(rows) + "\n")
    assert [(item.id, item.class_name, item.split) for item in records] == [
        ("wren/b.jpg", "Wren", "train"),
        ("owl/1.png", "Little Owl", "test"),
        ("wren/a.JPG", "Wren", None),
    ]


def test_a_csv_gives_several_labels_or_none(photos):
    rows = ["path,labels,split", "wren/b.jpg,Wren; Little Owl ;;Wren,train", "owl/1.png,,test"]
    records = write_csv(photos, "\n".join(rows) + "\n")
    assert [(item.class_name, item.labels, item.split) for item in records] == [
        (None, ("Little Owl", "Wren"), "train"),
        (None, (), "test"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,labels\nwren/a.JPG,w,w\n", "has the columns 'label' and 'labels'; keep the one"),
        ("labels\nw\n", "has no column 'path'; its columns are labels"),
        ("path,split\nwren/a.JPG,train\n", "has no column 'label'; its columns are path, split"),
        ("", "has no column 'path'; its columns are none"),
        ("path,label\n", "names no picture"),
        ("path,label\nwren/a.JPG,\n", "row 2 has no label"),
        ("path,label\nwren/a.JPG\n", "row 2 has no label"),
        ("path,label,split\nwren/a.JPG,w,trian\n", "row 2 has the split 'trian'; it may be train, test"),
        (
            "path,label\nx.jpg,w\ny.jpg,w\nz.jpg,w\nu.jpg,w\n",
            r"names 4 files that do not exist .*: x.jpg, y.jpg, z.jpg, \.\.\.",
        ),
        ("path,label\nwren/a.JPG,w\nwren/../wren/a.JPG,w\n", "names 1 pictures more than once: wren/a.JPG"),
        ("path,label\n/etc/passwd,w\n", "must be relative"),
        ("path,label\n../secret.jpg,w\n", "must be relative"),
        ("path,label\n,w\n", "must be relative"),
    ],
)
def test_what_is_wrong_with_a_csv_is_one_line(photos, text, message):
    with refused(message):
        write_csv(photos, text)
    assert not (photos.parent / "raw").exists()


def test_a_csv_that_is_absent_or_no_text(photos):
    with pytest.raises(UserError, match=r"folder\.csv: there is no file"):
        records_of(photos, "lables.csv")
    (photos / "labels.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(UserError, match="no CSV in UTF-8"):
        records_of(photos, "labels.csv")


def test_pictures_outside_class_folders_are_refused(photos):
    (photos / "loose.jpg").write_bytes(encoded(noise(0)))
    with pytest.raises(UserError, match=r"1 do not: loose\.jpg; put them in class folders"):
        records_of(photos)


def test_a_train_test_layout_is_refused_rather_than_misread(photos):
    (photos / "train").mkdir()
    (photos / "wren").rename(photos / "train" / "wren")
    with pytest.raises(UserError, match="2 do not: train/wren"):
        records_of(photos)


@pytest.mark.parametrize("make", [True, False])
def test_an_empty_or_absent_folder_is_refused(tmp_path, make):
    if make:
        (tmp_path / "photos" / "wren").mkdir(parents=True)
    with pytest.raises(UserError, match="holds no picture" if make else r"folder\.path: there is no folder"):
        records_of(tmp_path / "photos")


def test_a_folder_that_changed_after_download_is_refused(photos):
    source = Folder(FolderParams(path=str(photos)))
    raw = photos.parent / "raw"
    with pytest.raises(UserError, match="run `download` first"):
        source.records(raw)
    source.fetch(raw)
    listing = (raw / "source.json").read_text()
    os.utime(photos / "owl" / "1.png", (0, 0))
    source.fetch(raw)
    assert (raw / "source.json").read_text() == listing  # touching alone changes nothing
    (photos / "owl" / "1.png").write_bytes(encoded(noise(9, 50, 50)))
    with pytest.raises(UserError, match=r"has changed since it was listed; run `dvc repro .* download@raw`"):
        source.records(raw)
    source.fetch(raw)
    assert (raw / "source.json").read_text() != listing


def test_an_unreadable_picture_is_named_with_its_path(photos):
    (photos / "owl" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"photos/owl/1\.png: the file is empty"):
        prepare(records_of(photos), photos.parent / "out", dataset())
