"""COCO 2017 (Lin et al. 2014): photographs with the kinds of objects in them and five sentences each.

The annotations are CC BY 4.0, the photographs under their own terms at Flickr. With `lists`, the long-tailed
set COCO-LT, of which only the listed training pictures are downloaded.
"""

import logging
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire import published
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.fields import entries, read_object
from fieldmark.datasets.acquire.listing import existing_folder, few, official_layout, require_pictures
from fieldmark.datasets.acquire.official import LongTailable, LongTailableParams
from fieldmark.datasets.acquire.published import COCO_LT
from fieldmark.datasets.acquire.records import LeftOut, Record
from fieldmark.datasets.acquire.walking import Places

URL = "http://images.cocodataset.org"
ARCHIVES = {  # size in bytes, MD5
    "annotations/annotations_trainval2017.zip": (252_907_541, "f4bbac642086de4f52a3fdda2de5fa2c"),
    "zips/val2017.zip": (815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
    "zips/train2017.zip": (19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
}
UNLISTED = "of a picture that is not among the images"  # why an annotation is left out
WHOLE_TRAIN = "zips/train2017.zip"
ROLES = {"train2017": "train", "val2017": "test"}
log = logging.getLogger(__name__)


@dataclass
class _Notes:
    """What is read on the way: the kinds of objects of each set, and annotations that say nothing of a picture."""

    kinds: dict[str, list[str]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


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

    def __init__(self, params: CocoParams) -> None:
        super().__init__(params)
        self._notes = _Notes()

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
        self._notes = notes = _Notes()
        sets = {name: _read_set(root, name, self.params.captions, notes) for name in ROLES}
        if self.params.lists is None:
            return [record for records in sets.values() for record in records]
        notes.left_out = [one for one in notes.left_out if one.kind == "caption"]  # labels are the lists'
        known = {record.id: record for records in sets.values() for record in records}
        return _of_lists(known, published.read_lists(COCO_LT, raw), notes.kinds["val2017"])

    def _classes(self, raw: Path) -> list[str]:
        return list(dict.fromkeys(kind for kinds in self._notes.kinds.values() for kind in kinds))

    def _annotations_left_out(self) -> list[LeftOut]:
        return self._notes.left_out

    def _listed(self, raw: Path, records: list[Record]) -> tuple[Path, list[Path]]:
        root = self._root(raw)
        kinds = ("instances", "captions") if self.params.captions else ("instances",)
        notes = [root / f"annotations/{kind}_{name}.json" for name in ROLES for kind in kinds]
        paths = [record.id for record in records]
        return root, [*notes, *require_pictures(root, root, paths, "the annotations")]


SOURCE = Coco


def _instances(name: str) -> str:
    return f"annotations/instances_{name}.json"


def _categories(content: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the names of the categories by id, in the order of the ids, which have gaps.

    Blanks around a name are removed, and those in it are one, for the other annotation file may lack them. Raises
    UserError for an id that comes twice.
    """
    names: dict[str, str] = {}
    for entry in entries(content, "categories", "category", path):
        key, written = entry.identity("id"), entry.text("name")
        name = " ".join(written.split())
        if not name or key in names:
            raise UserError(
                f"{path}: category {entry.number} needs a name and an id of its own, it is {name!r}, {key}"
            )
        if name != written:
            log.warning(
                "%s: the name of the category %r has blanks around it; they are removed", path, written
            )
        if name in names.values():
            log.warning("%s: two categories are called %r; they are taken for one", path, name)
        names[key] = name
    return dict(sorted(names.items(), key=lambda item: (len(item[0]), item[0])))  # 9 before 10


def _read_set(root: Path, name: str, captions: bool, notes: _Notes) -> list[Record]:
    """Return the pictures of train2017 or val2017 in the order of the annotation file; add to `notes`."""
    path = root / _instances(name)
    content = read_object(path)
    places, files = Places(root / name), _images(content, path)
    kinds = _categories(content, path)
    notes.kinds[name] = list(kinds.values())
    labels = _labels(content, files, kinds, path, notes.left_out)
    described = root / f"annotations/captions_{name}.json"
    sentences = _sentences(described, files, notes.left_out) if captions else {}
    found = {key: places.find(file) for key, file in files.items()}
    return [
        Record(
            id=f"{name}/{place}",
            image=root / name / place,
            class_name=None,
            group=name,
            split=ROLES[name],
            captions=tuple(sentences.get(key, ())),
            labels=tuple(sorted(labels.get(key, ()))),
        )
        for key, place in found.items()
    ]


def _images(content: dict[str, Any], path: Path) -> dict[str, str]:
    """Return the file names by the id of the picture. Raises UserError for an id that comes twice."""
    files: dict[str, str] = {}
    for entry in entries(content, "images", "image", path):
        key = entry.identity("id")
        if key in files:
            raise UserError(
                f"{path}: image {entry.number} has the id {key}, as another one has; remove one of them"
            )
        files[key] = entry.text("file_name")
    return files


def _labels(
    content: dict[str, Any],
    files: Mapping[str, str],
    names: Mapping[str, str],
    path: Path,
    left_out: list[LeftOut],
) -> dict[str, set[str]]:
    """Return the kinds of objects by the id of the picture; `names` are theirs by id.

    An annotation without an area, or with a box thinner than a pixel, does not count.
    """
    labels: defaultdict[str, set[str]] = defaultdict(set)
    thin, before = "no area, or a box thinner than a pixel", len(left_out)
    for entry in entries(content, "annotations", "annotation", path):
        category = entry.identity("category_id")
        if category not in names:
            raise UserError(
                f"{path}: 'category_id' of {entry.place} is {category!r:.60}, which is none of the file's categories; "
                "mend it, or remove the annotation"
            )
        picture, area, box = entry.identity("image_id"), entry.number_of("area"), entry.box("bbox")
        flat = not (area > 0 and min(box[2:]) >= 1)
        if flat or picture not in files:
            reason = thin if flat else UNLISTED
            left_out.append(LeftOut(f"{path}: {entry.place}", reason, names[category], kind="annotation"))
        else:
            labels[picture].add(names[category])
    count = sum(one.reason == thin for one in left_out[before:])
    if count:
        log.info("%s: %d annotations have %s, and do not count", path, count, thin)
    if not labels:
        log.warning("%s: no annotation has an area, so no picture has a label", path)
    _warn_of_unlisted(left_out[before:], path)
    return labels


def _sentences(path: Path, files: Mapping[str, str], left_out: list[LeftOut]) -> dict[str, list[str]]:
    sentences: defaultdict[str, list[str]] = defaultdict(list)
    before = len(left_out)
    for entry in entries(read_object(path), "annotations", "caption", path):
        picture, text = entry.identity("image_id"), " ".join(entry.text("caption").split())
        if text and picture in files:
            sentences[picture].append(text)
        else:
            reason = UNLISTED if text else "it is blank"
            left_out.append(LeftOut(f"{path}: {entry.place}", reason, kind="caption"))
    blank = sum(one.reason != UNLISTED for one in left_out[before:])
    if blank or not sentences:
        log.warning("%s: %d captions are blank, and %d pictures have captions", path, blank, len(sentences))
    _warn_of_unlisted(left_out[before:], path)
    return sentences


def _warn_of_unlisted(left_out: Sequence[LeftOut], path: Path) -> None:
    """Log the annotations of pictures that the file of the pictures does not list."""
    of_none = [one.path.removeprefix(f"{path}: ") for one in left_out if one.reason == UNLISTED]
    if of_none:
        log.warning("%s: %d entries are left out, %s: %s", path, len(of_none), UNLISTED, few(of_none))


def _of_lists(
    known: Mapping[str, Record], lists: Mapping[str, published.Labels], names: Sequence[str]
) -> list[Record]:
    records, differing = [], 0
    for role, labels in lists.items():
        for key, listed in published.named(labels, names).items():
            if key not in known:
                raise UserError(f"the list of {COCO_LT.name} names {few([key])}, which the annotations lack")
            record = known[key]
            differing += record.labels != listed
            records.append(replace(record, split=role, labels=listed))
    published.warn_of_other_labels(differing)
    return records
