"""Pairs of pictures and masks: a folder of one's own, and ADE20K in its official layout."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.pictures import dataset, encoded, noise
from support.sources import fetched, refused

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.records import MaskLabels, Record
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.preparing.pictures import process
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.sources import ade20k
from fieldmark.datasets.splitting.splits import make_split

LABELS = ["sky", "road", "car"]


def write_pair(folder, place, mask_place, number, values=(0, 1, 2, 9)):
    """A picture of 48 x 40 and a mask of four quarters."""
    for path in (folder / place, folder / mask_place):
        path.parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_bytes(encoded(noise(number), "JPEG" if place.endswith("jpg") else "PNG"))
    (folder / mask_place).write_bytes(encoded(quarters(values)))


def quarters(values):
    return np.kron(np.array(values, np.uint8).reshape(2, 2), np.ones((20, 24), np.uint8))


@pytest.fixture
def photos(tmp_path):
    for number in range(6):
        write_pair(tmp_path / "photos", f"images/day/{number}.jpg", f"masks/day/{number}.png", number)
    (tmp_path / "photos" / "images" / "._0.jpg").write_bytes(b"macOS")
    return tmp_path / "photos"


def params_for(folder, **settings):
    return dataset("masks", {"path": str(folder), "labels": LABELS, "ignore": [9], **settings})


def records_of(folder, **settings):
    return fetched(params_for(folder, **settings).open_source(), folder.parent / "raw")


def prepared(tmp_path, params, records):
    prepare(records, tmp_path / "out", params)
    return read_manifest(tmp_path / "out" / "manifest.parquet"), ImageStore.open(tmp_path / "out")


def test_pairs_by_name_whatever_the_ending(photos):
    records = records_of(photos)
    assert [record.id for record in records] == [f"images/day/{number}.jpg" for number in range(6)]
    assert records[2].mask == photos / "masks/day/2.png"
    assert {(record.class_name, record.split) for record in records} == {(None, None)}


def test_the_store_holds_labels_in_order_and_255_for_ignored_values(tmp_path, photos):
    _, store = prepared(tmp_path, params_for(photos), records_of(photos))
    assert store.mask_names == tuple(LABELS)
    assert store.mask(0).tolist() == quarters((0, 1, 2, 255)).tolist()


@pytest.mark.parametrize(
    ("ignored", "values", "expected"),
    [
        ((0,), (0, 1, 2, 3), (255, 0, 1, 2)),
        ((1, 7), (0, 2, 3, 7), (0, 1, 2, 255)),
        ((), (0, 1, 2, 255), None),
    ],
)
def test_ignored_values_are_skipped_in_the_order_of_the_labels(ignored, values, expected):
    labels = MaskLabels.skipping(LABELS, ignored)
    found = [labels.stored[value] for value in values]
    assert found == list(expected or values)


def test_a_value_without_a_name_rejects_the_picture_by_the_value_in_the_file():
    record = Record(
        id="a",
        image=encoded(noise(0)),
        class_name=None,
        mask=encoded(quarters((0, 1, 2, 5))),
        mask_labels=MaskLabels.skipping(LABELS, (1,)),
    )
    assert "holds the value 5, which none" in str(process(record, dataset(), "png"))
    named = MaskLabels(tuple(LABELS))
    assert "holds the value 5" in str(
        process(Record("a", record.image, None, mask=record.mask, mask_labels=named), dataset(), "png")
    )


def test_lists_give_pairs_and_the_split(tmp_path, photos):
    rows = [f"images/day/{number}.jpg masks/day/{number}.png" for number in range(3)]
    (photos / "train.txt").write_text("\n".join(rows) + "\n\n")
    (photos / "val.csv").write_text("images/day/5.jpg, masks/day/5.png\n")
    lists = {"train": "train.txt", "test": "val.csv"}
    records = records_of(photos, lists=lists)
    assert [(record.id[-5], record.split) for record in records] == [
        ("0", "train"),
        ("1", "train"),
        ("2", "train"),
        ("5", "test"),
    ]
    manifest, _ = prepared(tmp_path, params_for(photos, lists=lists), records)
    kind = SplitParams(dataset="d", kind="dense")
    split = make_split(manifest, kind)
    assert split["role"].tolist() == ["train", "train", "train", "test"]
    report = validate(manifest, params_for(photos, lists=lists), {"dense": split}, {"dense": kind})
    assert all(outcome["success"] for outcome in report["expectations"])


def test_without_a_split_of_its_own_a_seed_draws_one(tmp_path, photos):
    manifest, _ = prepared(tmp_path, params_for(photos), records_of(photos))
    splits = [
        make_split(manifest, SplitParams(dataset="d", kind="dense", test_fraction=0.34, seed=seed))
        for seed in (0, 0, 1)
    ]
    assert [split["role"].value_counts()["test"] for split in splits] == [2, 2, 2]
    assert splits[0].equals(splits[1])
    assert not splits[0].equals(splits[2])
    assert set(splits[0]["label"]) == {0}


@pytest.mark.parametrize(
    ("remove", "add", "message"),
    [
        ("masks/day/3.png", None, "1 pictures have no mask: day/3"),
        ("images/day/3.jpg", None, "1 masks have no picture: day/3"),
        (None, "images/day/3.png", "holds 'day/3' with two endings"),
    ],
)
def test_what_does_not_pair_is_one_line(photos, remove, add, message):
    if remove:
        (photos / remove).unlink()
    if add:
        (photos / add).write_bytes(b"x")
    with pytest.raises(UserError, match=message):
        records_of(photos)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images/day/0.jpg\n", "line 1 should be '<picture> <mask>'"),
        ("images/day/0.jpg masks/day/9.png\n", r"1 pictures of train\.txt are missing: masks/day/9\.png"),
        ("images/day/0.jpg masks/day/0.png\n" * 2, "names 2 pictures twice|names 1 pictures twice"),
        ("../a.jpg masks/day/0.png\n", "names pictures outside it"),
        ("\n", "names no picture"),
    ],
)
def test_a_wrong_list_is_one_line(photos, text, message):
    (photos / "train.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        records_of(photos, lists={"train": "train.txt"})
    with pytest.raises(UserError, match="there is no file"):
        records_of(photos, lists={"train": "none.txt"})


@pytest.fixture
def binary(tmp_path):
    """Masks in black and white: the values are 0 and 255."""
    for number in range(4):
        place = f"images/{number}.jpg", f"masks/{number}.png"
        write_pair(tmp_path / "binary", *place, number, (0, 255, 255, 0))
    return {"path": str(tmp_path / "binary"), "labels": ["ground", "bird"]}


def test_a_label_without_a_pixel_is_refused_with_the_values_that_there_are(tmp_path, binary):
    params = dataset("masks", binary)
    records = fetched(params.open_source(), tmp_path / "raw")
    with refused(
        "label 'bird': the masks hold the values 0, 255, of which 255 means no label; .* masks.values"
    ):
        prepared(tmp_path, params, records)
    assert not (tmp_path / "out").exists()


def test_masks_that_cannot_be_used_are_said_before_labels_without_a_pixel(tmp_path, binary):
    for number in range(3):
        mask = tmp_path / f"binary/masks/{number}.png"
        Image.open(mask).convert("RGB").save(mask)
    params = dataset("masks", binary)
    records = fetched(params.open_source(), tmp_path / "raw")
    with refused("the mask must have one 8-bit channel"):
        prepared(tmp_path, params, records)


def test_masks_in_black_and_white_have_the_labels_that_their_values_are_given(tmp_path, binary):
    params = dataset("masks", {**binary, "values": [0, 255]})
    _, store = prepared(tmp_path, params, fetched(params.open_source(), tmp_path / "raw"))
    assert store.mask(0).tolist() == quarters((0, 1, 1, 0)).tolist()
    assert store.mask_names == ("ground", "bird")


def test_values_name_labels_ignored_ones_have_none_and_others_are_refused():
    labels = MaskLabels.of_values(["sky", "bird"], [7, 255], ignored=(3,))
    assert [labels.stored[value] for value in (7, 255, 3)] == [0, 1, 255]
    assert labels.stored[0] == 2  # beyond the names
    assert MaskLabels.of_values(["sky", "bird"], [7, 9], ignored=()).stored[255] == 255


@pytest.mark.parametrize("values", [[0], [0, 0, 1], [0, 1, 9], [0, 1, 256]])
def test_values_are_one_for_each_label_and_none_is_ignored(photos, values):
    with refused("values"):
        params_for(photos, values=values)


@pytest.mark.parametrize("labels", [["sky", "sky"], ["sky", " "], ["sky", "sky "]])
def test_labels_are_different_names(photos, labels):
    with pytest.raises(UserError, match="labels must be different names, and none of them blank"):
        params_for(photos, labels=labels)


def test_lists_from_windows_match(photos):
    (photos / "train.txt").write_text("images\\A0.JPG,masks\\a0.png\n")
    write_pair(photos, "images/a0.jpg", "masks/a0.png", 20)
    [record] = records_of(photos, lists={"train": "train.txt"})
    assert (record.id, record.mask) == ("images/a0.jpg", photos / "masks/a0.png")


def test_settings_are_checked(photos):
    with pytest.raises(UserError, match="there is no folder"):
        records_of(photos, images="pictures")
    with pytest.raises(UserError, match="labels"):
        params_for(photos, labels=["one"])
    with pytest.raises(UserError, match="ignore"):
        params_for(photos, ignore=[256])


@pytest.fixture
def twin(tmp_path):
    """A twin of SceneParse150 with three classes, whose masks begin at 1."""
    folder = tmp_path / "data" / "ADEChallengeData2016"
    for half, short, count in (("training", "train", 3), ("validation", "val", 2)):
        for number in range(count):
            name = f"{half}/ADE_{short}_{number + 1:08d}"
            write_pair(
                folder, f"images/{name}.jpg", f"annotations/{name}.png", 10 * count + number, (0, 1, 2, 3)
            )
    names = [
        "Idx\tRatio\tTrain\tVal\tName",
        "1\t0.2\t3\t2\twall",
        "2 \t0.1\t3\t2\tbed ",
        "3\t0\t1\t1\tcar, auto",
    ]
    (folder / "objectInfo150.txt").write_text("\n".join(names) + "\n")
    (folder / "sceneCategories.txt").write_text("ADE_train_00000001 airport\nADE_val_00000001 attic\n")
    return folder


def ade_records(tmp_path, **settings):
    return fetched(dataset("ade20k", settings).open_source(), tmp_path / "raw" / "ade")


@pytest.mark.parametrize("inner", ["", "ADEChallengeData2016"])
def test_ade20k_from_a_folder(tmp_path, twin, inner, caplog):
    records = ade_records(tmp_path, path=str(twin.parent / inner))
    assert [record.split for record in records] == ["train"] * 3 + ["test"] * 2
    assert (records[0].id, records[0].group, records[1].group) == ("ADE_train_00000001", "airport", None)
    assert "the published list has 20210 of 150" in caplog.text
    params = dataset("ade20k", {"path": str(twin)}, side=20)
    manifest, store = prepared(tmp_path, params, records)
    assert store.mask_names == ("wall", "bed", "car")
    quarter = np.asarray(Image.fromarray(quarters((255, 0, 1, 2))).resize((24, 20), Image.Resampling.NEAREST))
    assert store.mask(0).tolist() == quarter.tolist()
    kind = SplitParams(dataset="d", kind="dense")
    split = make_split(manifest, kind)
    report = validate(manifest, params, {"dense": split}, {"dense": kind})
    assert all(outcome["success"] for outcome in report["expectations"])
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["masks"] == 5


def test_ade20k_downloads_verifies_and_unpacks(tmp_path, twin, monkeypatch):
    def fake_download(url, path, **expected):
        assert (url.rpartition("/")[2], len(expected["md5"])) == ("ADEChallengeData2016.zip", 32)
        path.parent.mkdir(parents=True)
        with zipfile.ZipFile(path, "w") as zipped:
            for file in twin.rglob("*.*"):
                zipped.write(file, file.relative_to(twin.parent))

    monkeypatch.setattr(ade20k, "download", fake_download)
    assert len(ade_records(tmp_path)) == 5


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda twin: (twin / "objectInfo150.txt").unlink(), r"objectInfo150\.txt is missing"),
        (lambda twin: next((twin / "annotations").rglob("*1.png")).unlink(), "1 pictures of annotations are missing"),
        (lambda twin: (twin / "objectInfo150.txt").write_text("Idx\n2\tx\n"), "line 2 should give class 1"),
        (lambda twin: (twin / "objectInfo150.txt").write_text("Idx\n"), "names no class"),
        (
            lambda twin: [path.unlink() for path in (twin / "images/validation").iterdir()],
            "images/validation holds no picture",
        ),
    ],
)  # fmt: skip
def test_a_damaged_ade20k_is_one_line(tmp_path, twin, break_it, message):
    break_it(twin)
    with refused(message):
        ade_records(tmp_path, path=str(twin))


@pytest.mark.parametrize("part", ["species", "scenes"])
def test_every_label_of_the_default_world_has_a_name(tmp_path, part):
    world = {"part": part, "classes": 12, "genera": 4, "photographs": 2, "side": 48, "captions": 1}
    params = dataset("world", world)
    manifest, store = prepared(tmp_path, params, fetched(params.open_source(), tmp_path / "raw"))
    found = {int(value) for row in manifest["mask_row"] for value in np.unique(store.mask(int(row)))}
    assert store.mask_names[0] == "background"
    assert len(set(store.mask_names)) == len(store.mask_names) == 13
    assert {0} < found <= set(range(13))
