"""Real photographs, where they are at hand: the numbers that their README states."""

import json

import pytest
from support.pictures import SHARED, dataset

from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.multilabel import label_names, multi_hot
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.splitting.longtail import make_longtail
from fieldmark.datasets.splitting.splits import make_split

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the photographs are not here")


def prepared(tmp_path, params):
    source = params.open_source()
    source.fetch(tmp_path / "raw")
    prepare(source.records(tmp_path / "raw"), tmp_path / "out", params)
    return read_manifest(tmp_path / "out" / "manifest.parquet"), json.loads(
        (tmp_path / "out" / "summary.json").read_text()
    )


def test_twenty_classes_of_cub(tmp_path):
    params = dataset(
        "cub200", {"path": str(SHARED / "CUB_200_2011"), "captions": str(SHARED)}, expect={"captioned": 0.48}
    )
    manifest, summary = prepared(tmp_path, params)
    assert (summary["pictures"], summary["classes"], summary["boxes_clipped"]) == (1115, 20, 5)
    assert summary["source_split"] == {"train": 600, "test": 515}
    assert summary["modes"] == {"L": 1, "RGB": 1114}
    assert (summary["captions"], summary["pictures_with_captions"]) == (5430, 543)
    grey = manifest.set_index("id").loc["009.Brewer_Blackbird/Brewer_Blackbird_0028_2682.jpg"]
    pixels = ImageStore.open(tmp_path / "out")[int(grey["row"])]
    assert pixels.shape == (grey["height"], grey["width"], 3)
    assert (pixels[..., 0] == pixels[..., 2]).all()
    kinds = {
        "retrieval": SplitParams(dataset="d", kind="retrieval"),
        "classification": SplitParams(dataset="d", kind="classification"),
    }
    splits = {name: make_split(manifest, kind) for name, kind in kinds.items()}
    assert splits["classification"]["role"].value_counts().to_dict() == {"train": 600, "test": 515}
    assert splits["retrieval"].groupby("role")["class_name"].nunique().to_dict() == {"train": 10, "test": 10}
    validate(manifest, params, splits, kinds)


def test_birds60_by_its_own_split(tmp_path):
    params = dataset("folder", {"path": str(SHARED / "birds60"), "csv": "labels.csv"})
    manifest, summary = prepared(tmp_path, params)
    assert (summary["pictures"], summary["classes"], summary["duplicates"]) == (3527, 60, [])
    kinds = {"retrieval": SplitParams(dataset="d", kind="retrieval", by="source")}
    split = make_split(manifest, kinds["retrieval"])
    assert split.groupby("role")["class_name"].nunique().to_dict() == {"train": 30, "test": 30}
    assert len(split) == 3527
    validate(manifest, params, {"retrieval": split}, kinds)


def test_a_hundred_pictures_of_coco(tmp_path):
    params = dataset("coco", {"path": str(SHARED / "coco")}, side=128)
    manifest, summary = prepared(tmp_path, params)
    assert (summary["pictures"], summary["captions"], summary["classes"]) == (100, 500, 59)
    assert summary["source_split"] == {"train": 50, "test": 50}
    classes = label_names(manifest)
    for role, kinds, bare in (("train", 49, 1), ("test", 48, 2)):
        table = multi_hot(manifest, manifest[manifest["split"] == role], classes)
        assert (table.any(axis=0).sum(), (table.sum(axis=1) == 0).sum()) == (kinds, bare)
    kind = SplitParams(dataset="d", kind="longtail", head=10, tail=3)
    split = make_longtail(manifest, kind)
    assert split["role"].value_counts().to_dict() == {"test": 50, "train": 46, "val": 4}
    report = validate(manifest, params, {"tail": split}, {"tail": kind})
    assert report["groups"]["tail"]["head"][0] == "person"


def test_camvid_pairs_by_its_lists(tmp_path):
    labels = [f"label {value}" for value in range(11)]
    settings = {
        "path": str(SHARED / "camvid"),
        "lists": {"train": "train.txt", "test": "val.txt"},
        "labels": labels,
        "ignore": [11],
    }
    params = dataset("masks", settings, side=90)
    manifest, summary = prepared(tmp_path, params)
    assert (summary["pictures"], summary["masks"], summary["classes"]) == (90, 90, 0)
    kinds = {"dense": SplitParams(dataset="d", kind="dense")}
    split = make_split(manifest, kinds["dense"])
    assert split["role"].value_counts().to_dict() == {"train": 60, "test": 30}
    store = ImageStore.open(tmp_path / "out")
    assert store.mask(0).shape == store[0].shape[:2] == (90, 120)
    found = {int(value) for row in manifest["mask_row"] for value in set(store.mask(row).ravel().tolist())}
    assert found <= {*range(11), 255}
    validate(manifest, params, {"dense": split}, kinds)
