"""What goes in is accounted for in every source: files beside the lists, annotations, classes without a picture."""

import json
import os

import pytest
from support.pictures import dataset, write_picture
from support.sources import fetched, refused
from support.twins import TWINS

from fieldmark.datasets.preparing.prepare import prepare

# Where a picture may lie that no list names, by the twin; the folders of the pictures are asked for.
PLACES = {
    "aircraft": "images", "ade20k": "annotations/training", "cars196": "car_ims", "cars196 parts": "cars_train",
    "coco": "train2017", "coco lists": "coco/val2017", "cub200": "CUB_200_2011/images/001.Laysan_Albatross",
    "flowers102": "jpg", "flowers102 captions": "flowers-102/jpg", "folder csv": "wren", "folder labels": "wren",
    "inshop": "Img/img/WOMEN", "masks": "images", "roxford5k": "jpg", "rparis6k": "jpg",
    "sfm120k": "ims", "sop": "sofa_final", "voc": "VOC2007/JPEGImages",
    "voc lists": "VOCdevkit/VOC2007/JPEGImages",
}  # fmt: skip


def summary_of(tmp_path, name, change=lambda folder: None):
    params = dataset(name.split()[0], TWINS[name](tmp_path / "data"))
    change(tmp_path / "data")
    source = params.open_source()
    records = fetched(source, tmp_path / "raw" / "d")
    prepare(records, tmp_path / "out", params, left_out=source.left_out())
    return json.loads((tmp_path / "out/summary.json").read_text())


def files_left_out(summary):
    return sum(one.get("files", 0) for one in summary.get("left_out", []))


@pytest.mark.parametrize("name", PLACES)
def test_files_that_no_list_names_are_counted_with_their_endings(tmp_path, name):
    before = files_left_out(summary_of(tmp_path / "before", name))

    def add(folder):
        inner = folder / PLACES[name]
        assert inner.parent.is_dir()
        write_picture(inner / "another.jpg", 99)
        (inner / "clip.mov").write_bytes(b"x")

    summary = summary_of(tmp_path / "after", name, add)
    assert files_left_out(summary) == before + (1 if name.startswith("folder ") else 2)
    endings = {ending for one in summary["left_out"] for ending in one.get("endings", {})}
    assert endings >= ({".jpg"} if name.startswith("folder ") else {".jpg", ".mov"})


def test_every_source_that_has_lists_is_here():
    assert set(PLACES) == set(TWINS) - {"folder", "masks by name"}  # these have no list


def test_annotations_and_captions_without_effect_are_counted_by_reason_and_class(tmp_path, caplog):
    caplog.set_level("INFO")

    def spoil(folder):
        path = folder / "annotations/captions_train2017.json"
        content = json.loads(path.read_text())
        content["annotations"][0]["caption"] = "  "
        content["annotations"][1]["image_id"] = 999
        path.write_text(json.dumps(content))

    accounts = summary_of(tmp_path, "coco", spoil)
    kept = {(one["reason"], one["class"]): one for one in accounts["left_out"]}
    assert kept["no area, or a box thinner than a pixel", "car"]["annotations"] == 1
    assert kept["it is blank", None]["captions"] == 1
    assert kept["of a picture that is not among the images", None]["captions"] == 1
    assert accounts["lost_classes"] == ["car"]
    assert "no picture is left of the class car: 1 x no area, or a box thinner than a pixel" in caplog.text
    assert "1 annotations left out: no area" in caplog.text
    assert {"reason": "no picture has it", "class": "car", "classes": 1} in accounts["left_out"]


@pytest.mark.parametrize(
    ("name", "lists", "line", "lost"),
    [
        ("cub200", "CUB_200_2011/classes.txt", "3 003.Sooty_Albatross\n", "003.Sooty_Albatross"),
        ("aircraft", "variants.txt", "727-200\n", "003.727-200"),
        ("ade20k", "objectInfo150.txt", "3\t0.1\tlamp, light\n", "lamp"),
    ],
)
def test_a_class_that_is_declared_and_has_no_picture_is_said(tmp_path, caplog, name, lists, line, lost):
    def declare(folder):
        with (folder / lists).open("a") as stream:
            stream.write(line)

    assert summary_of(tmp_path, name, declare)["lost_classes"] == [lost]
    assert f"no picture is left of the class {lost}: 1 x no " in caplog.text


def test_a_label_whose_only_picture_cannot_be_used_is_said(tmp_path, caplog):
    settings = TWINS["folder labels"](tmp_path / "data")
    (tmp_path / "data/wren/0.jpg").write_bytes(b"")
    params = dataset("folder", settings, bad_images=1)
    source = params.open_source()
    prepare(fetched(source, tmp_path / "raw/d"), tmp_path / "out", params)
    assert json.loads((tmp_path / "out/summary.json").read_text())["lost_classes"] == ["reed", "wren"]
    assert "no picture is left of 2 classes (reed, wren): 1 x the file is empty (1 .jpg)" in caplog.text


@pytest.mark.parametrize("other", ["Wren", "wren ", "WREN"])
def test_names_of_classes_that_look_alike_are_said(tmp_path, caplog, other):
    def add(folder):
        write_picture(folder / other / "9.jpg", 9)

    summary = summary_of(tmp_path, "folder", add)
    if other.strip() == "wren":
        assert "names_alike" not in summary  # blanks around a name are none of it
    else:
        assert summary["names_alike"] == [sorted([other, "wren"])]
        assert f"{other}, wren are 2 classes; if they are one, write the name in one way" in caplog.text


def test_a_name_with_control_characters_is_refused(tmp_path):
    with refused(r"class or group 'wren\\x07'"):
        summary_of(tmp_path, "folder", lambda folder: write_picture(folder / "wren\a/9.jpg", 9))


def test_two_categories_of_one_name_are_said(tmp_path, caplog):
    def rename(folder):
        for path in folder.glob("annotations/instances_*.json"):
            path.write_text(path.read_text().replace("toothbrush", "cat"))

    summary_of(tmp_path, "coco", rename)
    assert "two categories are called 'cat'; they are taken for one" in caplog.text


def test_a_pipe_among_the_pictures_is_no_picture_and_is_not_waited_for(tmp_path):
    with refused(r"wren/pipe\.jpg: it is no file"):
        summary_of(tmp_path, "folder", lambda folder: os.mkfifo(folder / "wren/pipe.jpg"))
