import json
import os
import unicodedata

import pytest
from support.pictures import dataset, encoded, noise, write_picture
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


def prepared_summary(photos, csv=None, **params):
    source = Folder(FolderParams(path=str(photos), csv=csv))
    raw, out = photos.parent / "raw", photos.parent / "out"
    prepare(fetched(source, raw), out, dataset(**params), left_out=source.left_out())
    return json.loads((out / "summary.json").read_text())


def test_class_folders_that_are_links_are_followed(photos):
    (photos / "wren").rename(photos.parent / "wren")
    (photos / "wren").symlink_to(photos.parent / "wren")
    assert [record.id for record in records_of(photos)] == ["owl/1.png", "wren/a.JPG", "wren/b.jpg"]


def test_dangling_links_count_against_the_budget_by_name(photos):
    for name in ("a.JPG", "b.jpg"):
        (photos / "wren" / name).unlink()
        (photos / "wren" / name).symlink_to(photos.parent / "annex" / name)
    with refused(r"2 of 3 pictures cannot be used .*wren/a\.JPG: cannot be read: No such file"):
        prepared_summary(photos)
    assert prepared_summary(photos, bad_images=2)["lost_classes"] == ["wren"]


def test_classes_without_a_usable_picture_are_named_with_reason_and_endings(photos, caplog):
    caplog.set_level("INFO")
    for place in ("heron/1.heic", "heron/2.HEIC", "heron/3.mov", "wren/c.cr2"):
        (photos / place).parent.mkdir(exist_ok=True)
        (photos / place).write_bytes(b"x")
    (photos / "stork").mkdir()
    (photos / "crane").symlink_to(photos.parent / "nowhere")
    (photos / "owl" / "1.png").write_bytes(b"")
    (photos / "notes.txt").write_text("no class")
    summary = prepared_summary(photos, bad_images=1)
    assert summary["lost_classes"] == ["crane", "heron", "owl", "stork"]
    assert {"reason": "no picture by its ending", "class": "heron", "files": 3,
            "endings": {".heic": 2, ".mov": 1}} in summary["left_out"]  # fmt: skip
    assert sum(one["files"] for one in summary["left_out"]) == 8
    text = caplog.text
    assert "10 files seen, 2 used, 8 left out: 5 x no picture by its ending" in text
    assert "no picture is left of the class heron: 3 x no picture by its ending (2 .heic, 1 .mov)" in text
    assert "no picture is left of the class stork: 1 x the folder is empty" in text
    assert "no picture is left of the class crane: 1 x a link that leads nowhere" in text
    assert "no picture is left of the class owl: 1 x the file is empty (1 .png)" in text


def test_where_all_is_used_one_line_says_so_and_the_summary_has_no_more_to_say(photos, caplog):
    caplog.set_level("INFO")
    assert "left_out" not in prepared_summary(photos)
    assert "3 files seen, 3 used, 0 left out" in caplog.text


def test_pictures_that_the_csv_does_not_name_are_counted(photos):
    (photos / "labels.csv").write_text("path,label\nwren/a.JPG,wren\nowl/1.png,owl\n")
    [left] = prepared_summary(photos, "labels.csv")["left_out"]
    assert (left["reason"], left["files"], left["endings"]) == ("labels.csv does not name it", 1, {".jpg": 1})


def test_a_label_with_an_unquoted_comma_is_refused_by_its_row(photos):
    with refused(
        r"labels.csv: row 3 has more values than the header has columns: grey; put .* between quotes"
    ):
        write_csv(photos, "path,label\nwren/a.JPG,wren\nowl/1.png,Heron,grey\n")
    records = write_csv(photos, 'path,label\nowl/1.png,"Heron, grey"\n')
    assert records[0].class_name == "Heron, grey"


def test_the_names_of_columns_may_have_blanks_around_them(photos):
    assert write_csv(photos, "path, label\nowl/1.png,owl\n")[0].class_name == "owl"


def test_names_decomposed_by_a_mac_match_the_csv_and_are_one_class(photos):
    composed = "m\u00f6we"
    decomposed = unicodedata.normalize("NFD", composed)
    for number, name in enumerate((composed, decomposed)):
        write_picture(photos / name / f"{number}.jpg", number)
    assert {record.class_name for record in records_of(photos)} == {"owl", "wren", composed}
    records = write_csv(photos, f"path,label\n{composed}/1.jpg,{composed}\n{composed}/0.jpg,{decomposed}\n")
    assert [record.id for record in records] == [f"{decomposed}/1.jpg", f"{composed}/0.jpg"]
    assert {record.class_name for record in records} == {composed}


def test_a_csv_from_windows_matches(photos):
    text = "path,label\r\nwren\\a.JPG,wren\r\nphotos\\owl\\1.png,owl\r\n"
    assert [record.id for record in write_csv(photos, text)] == ["wren/a.JPG", "owl/1.png"]


def test_a_name_that_is_not_utf8_is_refused_in_one_line(photos):
    (photos / "wren" / os.fsdecode(b"\xe9.jpg")).write_bytes(encoded(noise(5)))
    with refused("is not in UTF-8; rename it"):
        records_of(photos)


@pytest.mark.parametrize("wrapped", ["photos", "photos/birds"])
def test_class_folders_that_an_archive_wraps_are_read(photos, wrapped):
    outer = photos.parent / "unpacked"
    (outer / wrapped).parent.mkdir(parents=True)
    photos.rename(outer / wrapped)
    assert [(one.id, one.class_name) for one in records_of(outer)] == [
        ("owl/1.png", "owl"),
        ("wren/a.JPG", "wren"),
        ("wren/b.jpg", "wren"),
    ]


def test_one_class_folder_is_one_class(photos):
    (photos / "owl" / "1.png").unlink()
    (photos / "owl").rmdir()
    assert {one.class_name for one in records_of(photos)} == {"wren"}


def test_a_column_that_comes_twice_is_refused(photos):
    with refused("has the column 'label' twice; keep the one that is meant"):
        write_csv(photos, "path,label,label\nwren/a.JPG,wren,owl\n")


def test_rows_of_empty_cells_are_skipped_and_lines_are_counted_as_editors_do(photos):
    text = 'path,label\n,\nwren/a.JPG,"wren"\n\nowl/1.png,\n'
    with refused("labels.csv: row 5 has no label"):
        write_csv(photos, text)
    assert [one.id for one in write_csv(photos, text.replace("png,", "png,owl"))] == [
        "wren/a.JPG",
        "owl/1.png",
    ]


def test_rows_without_labels_are_counted(photos, caplog):
    assert len(write_csv(photos, "path,labels\nwren/a.JPG,wren;reed\nowl/1.png, ; \n")) == 2
    assert "labels.csv: 1 of 2 rows have no labels" in caplog.text


def test_of_a_file_that_is_absent_a_namesake_is_named(photos):
    with refused(r"1 files that do not exist in .*: others/b\.jpg; a file of that name is wren/b\.jpg"):
        write_csv(photos, "path,label\nothers/b.jpg,wren\n")


def test_columns_and_splits_in_capitals_are_read(photos):
    records = write_csv(photos, "Path,Label,Split\nwren/a.JPG,wren,Train\nowl/1.png,owl,TEST\n")
    assert [one.split for one in records] == ["train", "test"]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_marks_between_columns_are_named(photos, mark):
    with refused("has no column 'path'; its columns are .*; put commas between the columns"):
        write_csv(photos, f"path{mark}label\nwren/a.JPG{mark}wren\n")
