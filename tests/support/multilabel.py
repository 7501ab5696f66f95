"""Twins of the multi-label data sets in their official layouts, and lists in the format of the published ones."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from fieldmark.datasets.data.roles.multilabel import LabelTable
from support.pictures import encoded, noise

VOC = {  # (year, set): the objects of its pictures
    ("VOC2007", "trainval"): (("dog",), ("cat", "sofa")),
    ("VOC2007", "test"): (("person",), ("person", "dog"), ("train",)),
    ("VOC2012", "trainval"): (("person", "bicycle"), ("person",), ("dog",), ("sheep", "person")),
}


def write_voc(root: Path) -> None:
    """Write VOCdevkit: the first object of every picture is marked difficult, and there twice."""
    for (year, name), pictures in VOC.items():
        stems = [f"{year[3:]}_{name}_{n}" for n in range(len(pictures))]
        for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
            (root / year / folder).mkdir(parents=True, exist_ok=True)
        (root / year / "ImageSets/Main" / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems))
        for number, (stem, objects) in enumerate(zip(stems, pictures, strict=True)):
            seed = sum(map(ord, year + name)) + number
            (root / year / "JPEGImages" / f"{stem}.jpg").write_bytes(encoded(noise(seed), "JPEG"))
            marked = [(objects[0], 1), *((one, 0) for one in objects)]
            notes = "".join(
                f"<object><name>{one}</name><difficult>{hard}</difficult></object>" for one, hard in marked
            )
            (root / year / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{notes}</annotation>")


COCO = {  # set: category ids of its pictures; 3 has no area, 90 is a crowd
    "train2017": ((1, 17), (17,), (90, 1), ()),
    "val2017": ((1,), (3,), (17, 90)),
}
CATEGORIES = {1: "person", 3: "car", 17: "cat", 90: "toothbrush"}


def write_coco(root: Path) -> None:
    """Write COCO 2017 with four of its categories, two sentences per picture, the categories out of order."""
    (root / "annotations").mkdir(parents=True)
    for name, pictures in COCO.items():
        (root / name).mkdir()
        images = [{"id": 100 + n, "file_name": f"{n:012d}.jpg"} for n in range(len(pictures))]
        boxes = [
            {
                "image_id": 100 + n,
                "category_id": one,
                "bbox": [1, 1, 20, 9],
                "area": 0 if one == 3 else 99.5,
                "iscrowd": int(one == 90),
            }
            for n, found in enumerate(pictures)
            for one in found
        ]
        kinds = [{"id": key, "name": CATEGORIES[key]} for key in (90, 1, 17, 3)]
        content = {"images": images, "annotations": boxes, "categories": kinds}
        (root / f"annotations/instances_{name}.json").write_text(json.dumps(content))
        sentences = [
            {"image_id": one["id"], "caption": f"Sentence {k} of\n{one['file_name']} "}
            for one in images
            for k in range(2)
        ]
        (root / f"annotations/captions_{name}.json").write_text(json.dumps({"annotations": sentences}))
        for number, one in enumerate(images):
            seed = len(name) * 50 + number
            (root / name / str(one["file_name"])).write_bytes(encoded(noise(seed), "JPEG"))


def write_lists(folder: Path, name: str, train: str, test: str) -> str:
    """Write both lists of a long-tailed set ("voc" or "coco"); return the folder."""
    folder.mkdir()
    (folder / f"{name}_lt_train.txt").write_text(train)
    (folder / f"{name}_lt_test.txt").write_text(test)
    return str(folder)


def multilabel_manifest(counts: Mapping[str, int], pictures: int = 400, seed: int = 0) -> pd.DataFrame:
    """A manifest of pictures that hold about `counts` of each label, drawn independently."""
    rng = np.random.default_rng(seed)
    has = {name: set(rng.permutation(pictures)[:count].tolist()) for name, count in counts.items()}
    ids = [f"scene/{n:04d}" for n in range(pictures)]
    return pd.DataFrame(
        {
            "id": ids,
            "row": range(pictures),
            "class_name": None,
            "label": -1,
            "group": None,
            "split": None,
            "labels": [sorted(name for name in counts if n in has[name]) for n in range(pictures)],
            "captions": [[] for _ in ids],
            "box": None,
            "mask_row": -1,
            "attributes": "{}",
            "width": 48,
            "height": 40,
            "sha256": [f"content of {key}" for key in ids],
        }
    )


def label_table_of(shown: np.ndarray) -> LabelTable:
    """The table of multi-hot rows (N, C)."""
    starts = np.concatenate([[0], np.cumsum((shown > 0).sum(axis=1))])
    return LabelTable(starts, np.nonzero(shown)[1], shown.shape[1])
