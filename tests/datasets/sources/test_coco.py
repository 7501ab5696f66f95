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
            "'categories' should be a list, it is null",
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


def edit(twin, name, change):
    """Rewrite an annotation file with `change` applied to its content."""
    path = twin / "coco/annotations" / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def labels_of(records):
    return [one.labels for one in records]


def test_ids_are_compared_as_what_they_mean(tmp_path, twin):
    expected = records_of(tmp_path, path=str(twin))

    def as_text(content):
        for number, one in enumerate(content["images"]):
            one["id"] = (str(one["id"]), float(one["id"]), f"000{one['id']}", one["id"])[number]
        for one in content["categories"]:
            one["id"] = str(one["id"])

    edit(twin, "instances_train2017.json", as_text)
    assert records_of(tmp_path, path=str(twin)) == expected


def test_a_category_with_blanks_around_its_name_is_one_and_that_is_said(tmp_path, twin, caplog):
    expected = labels_of(records_of(tmp_path, path=str(twin)))

    def pad(content):
        content["categories"][1]["name"] = " person "

    edit(twin, "instances_val2017.json", pad)
    assert labels_of(records_of(tmp_path, path=str(twin))) == expected
    assert "the name of the category ' person ' has blanks around it" in caplog.text


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        ("annotations", "bbox", [], r"'bbox' of annotation 1 \(id 71\) should be four numbers, it is \[\]"),
        ("annotations", "bbox", None, "'bbox' of annotation 1 .* should be four numbers, it is null"),
        (
            "annotations",
            "category_id",
            999,
            r"'category_id' of annotation 1 \(id 71\) is '999', which is none",
        ),
        ("annotations", "area", float("nan"), "'area' of annotation 1 .* should be a number, it is nan"),
        ("annotations", "image_id", [1], r"'image_id' of annotation 1 .* should be an id, .* it is \[1\]"),
        ("images", "file_name", 5, "'file_name' of image 1 .* should be a text, it is 5"),
        ("images", "id", 101, "image 2 has the id 101, as another one has"),
        ("images", "file_name", "\ud83d.jpg", "a text without half characters"),
        ("categories", "name", " ", "category 1 needs a name"),
    ],
)
def test_a_wrong_value_is_named_with_file_entry_and_field(tmp_path, twin, name, field, value, message):
    def harm(content):
        content[name][0] |= {"id": 71, field: value} if name == "annotations" else {field: value}

    edit(twin, "instances_train2017.json", harm)
    with refused("instances_train2017.json: .*" + message):
        records_of(tmp_path, path=str(twin))


def test_an_absent_box_is_named(tmp_path, twin):
    edit(twin, "instances_val2017.json", lambda content: content["annotations"][1].pop("bbox"))
    with refused("annotation 2 has no 'bbox'; add it, or remove the annotation"):
        records_of(tmp_path, path=str(twin))


@pytest.mark.parametrize("caption", [None, "a bird \ud83d", 7])
def test_a_caption_that_is_no_text_is_named(tmp_path, twin, caption):
    edit(twin, "captions_val2017.json", lambda content: content["annotations"][2].update(caption=caption))
    with refused("captions_val2017.json: 'caption' of caption 3 should be a text"):
        records_of(tmp_path, path=str(twin))


def test_a_byte_order_mark_is_read(tmp_path, twin):
    expected = records_of(tmp_path, path=str(twin))
    path = twin / "coco/annotations/instances_val2017.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert records_of(tmp_path, path=str(twin)) == expected


@pytest.mark.parametrize("written", ["train2017/{}", "train2017\\{}", ".\\{}"])
def test_file_names_with_backslashes_or_the_name_of_the_set_match(tmp_path, twin, written):
    expected = records_of(tmp_path, path=str(twin))

    def rename(content):
        for one in content["images"]:
            one["file_name"] = written.format(one["file_name"])

    edit(twin, "instances_train2017.json", rename)
    assert records_of(tmp_path, path=str(twin)) == expected


def test_annotations_of_pictures_that_the_file_does_not_list_are_said(tmp_path, twin, caplog):
    edit(twin, "instances_val2017.json", lambda content: content["images"].pop(0))
    assert len(records_of(tmp_path, path=str(twin))) == 6
    assert "1 entries are left out, of a picture that is not among the images: annotation 1" in caplog.text


def test_a_mirrors_layout_with_more_levels_is_read(tmp_path, twin):
    expected = [one.id for one in records_of(tmp_path, path=str(twin))]
    (twin / "coco").rename(twin / "coco2017")
    (twin / "kaggle").mkdir()
    (twin / "coco2017").rename(twin / "kaggle" / "coco2017")
    train = twin / "kaggle/coco2017/train2017"
    train.rename(train.with_name("t"))
    train.mkdir()
    train.with_name("t").rename(train / "train2017")
    records = records_of(tmp_path, path=str(twin))
    assert [one.id.replace("train2017/train2017", "train2017") for one in records] == expected
    assert all(one.image.is_file() for one in records)
