"""COCO 2017 (Lin et al. 2014): photographs with the kinds of objects in them and five sentences each.

The annotations are CC BY 4.0, the photographs under their own terms at Flickr. With `lists`, the long-tailed
set COCO-LT, of which only the listed training pictures are downloaded.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire import published
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.listing import existing_folder, official_layout, require_pictures
from fieldmark.datasets.acquire.official import LongTailable, LongTailableParams
from fieldmark.datasets.acquire.published import COCO_LT
from fieldmark.datasets.acquire.records import Record

URL = "http://images.cocodataset.org"
ARCHIVES = {  # size in bytes, MD5
    "annotations/annotations_trainval2017.zip": (252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c"),
    "zips/val2017.zip": (815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
    "zips/train2017.zip": (19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
}
WHOLE_TRAIN = "zips/train2017.zip"
ROLES = {"train2017": "train", "val2017": "test"}


class CocoParams(LongTailableParams):
    """`path` is a folder with annotations, train2017 and val2017; None downloads.

    `lists` makes it COCO-LT: `published` downloads its lists, or it is a folder with coco_lt_train.txt and
    coco_lt_test.txt. None takes every picture. `captions` reads annotations/captions_*.json as well.
    """

    captions: bool = True


class Coco(LongTailable):
    """Train is train2017 and test is val2017, or what the lists say; the group is the name of the set.

    A kind of object is present where an annotation of it, crowds included, has an area. Where there are lists, the
    labels are those of the lists.
    """

    Params = CocoParams
    params: CocoParams
    name, longtailed = "coco", COCO_LT

    @property
    def promises(self) -> Mapping[str, bool]:
        """Captions where they are asked for."""
        return {"captions": self.params.captions, "boxes": False, "masks": False}

    def _download(self, downloads: Path, folder: Path) -> None:
        for path, (size, md5) in ARCHIVES.items():
            if self.params.lists is None or path != WHOLE_TRAIN:
                archive = downloads / Path(path).name
                download(f"{URL}/{path}", archive, md5=md5, size=size)
                unpack(archive, folder / "unpacked")
                for inner in (folder / "unpacked").iterdir():
                    inner.rename(folder / inner.name)
                (folder / "unpacked").rmdir()
        if self.params.lists is not None:
            (folder / "train2017").mkdir()
            for picture in published.read_lists(COCO_LT, folder)["train"]:
                download(f"{URL}/{picture}", downloads / picture)
                shutil.copy(downloads / picture, folder / picture)

    def _root(self, raw: Path) -> Path:
        outer = raw if self.params.path is None else existing_folder(self.params.path, "coco.path")
        return official_layout(outer, "coco", (_instances("val2017"), "val2017", "train2017"), "COCO 2017")

    def _read(self, raw: Path) -> list[Record]:
        root = self._root(raw)
        sets = {name: _read_set(root, name, self.params.captions) for name in ROLES}
        if self.params.lists is None:
            return [record for records in sets.values() for record in records]
        known = {record.id: record for records in sets.values() for record in records}
        names = _categories(_read_json(root / _instances("val2017")))
        return _of_lists(known, published.read_lists(COCO_LT, raw), list(names.values()))

    def _listed(self, raw: Path, records: list[Record]) -> tuple[Path, list[Path]]:
        root = self._root(raw)
        kinds = ("instances", "captions") if self.params.captions else ("instances",)
        notes = [root / f"annotations/{kind}_{name}.json" for name in ROLES for kind in kinds]
        paths = [record.id for record in records]
        return root, [*notes, *require_pictures(root, root, paths, "the annotations")]


SOURCE = Coco


def _instances(name: str) -> str:
    return f"annotations/instances_{name}.json"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; the layout of COCO is not complete") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is no JSON: {error}") from None


def _categories(content: Any) -> dict[int, str]:
    """Return the names of the categories by id, in the order of the ids, which have gaps."""
    ordered = sorted(content["categories"], key=lambda category: category["id"])
    return {category["id"]: category["name"] for category in ordered}


def _read_set(root: Path, name: str, captions: bool) -> list[Record]:
    """Return the pictures of train2017 or val2017 in the order of the annotation file."""
    path = root / _instances(name)
    content = _read_json(path)
    try:
        labels = _labels(content)
        sentences = _sentences(root / f"annotations/captions_{name}.json") if captions else {}
        return [
            Record(
                id=f"{name}/{image['file_name']}",
                image=root / name / image["file_name"],
                class_name=None,
                group=name,
                split=ROLES[name],
                captions=tuple(sentences.get(image["id"], ())),
                labels=tuple(sorted(labels.get(image["id"], ()))),
            )
            for image in content["images"]
        ]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not in COCO's format: {error!r} is missing or wrong") from None


def _labels(content: Any) -> dict[int, set[str]]:
    """Return the kinds of objects by the id of the picture.

    An annotation without an area, or with a box thinner than a pixel, does not count.
    """
    names = _categories(content)
    labels: defaultdict[int, set[str]] = defaultdict(set)
    for annotation in content["annotations"]:
        if annotation["area"] > 0 and min(annotation["bbox"][2:]) >= 1:
            labels[annotation["image_id"]].add(names[annotation["category_id"]])
    return labels


def _sentences(path: Path) -> dict[int, list[str]]:
    sentences: defaultdict[int, list[str]] = defaultdict(list)
    for annotation in _read_json(path)["annotations"]:
        text = " ".join(annotation["caption"].split())
        if text:
            sentences[annotation["image_id"]].append(text)
    return sentences


def _of_lists(
    known: Mapping[str, Record], lists: Mapping[str, published.Labels], names: Sequence[str]
) -> list[Record]:
    records, differing = [], 0
    for role, labels in lists.items():
        for key, listed in published.named(labels, names).items():
            if key not in known:
                raise UserError(f"the list of {COCO_LT.name} names {key}, which the annotations lack")
            record = known[key]
            differing += record.labels != listed
            records.append(replace(record, split=role, labels=listed))
    published.warn_of_other_labels(differing)
    return records
