"""Pascal VOC 2007 and 2012 (Everingham et al. 2010): photographs with the names of the 20 kinds of objects in them.

The photographs are from Flickr, for research. With `lists`, the long-tailed set VOC-LT.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire import published
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.listing import existing_folder, few, folders_below, require_pictures
from fieldmark.datasets.acquire.official import LongTailable, LongTailableParams
from fieldmark.datasets.acquire.published import VOC_LT
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.tables import read_lines

URL = "https://thor.robots.ox.ac.uk/pascal/VOC"
ARCHIVES = {  # size in bytes, MD5
    "voc2007/VOCtrainval_06-Nov-2007.tar": (460_032_000, "c52e279531787c972589f7e41ab4ae64"),
    "voc2007/VOCtest_06-Nov-2007.tar": (451_020_800, "b6e924de25625d8de591ea690078ad9f"),
    "voc2012/VOCtrainval_11-May-2012.tar": (1_999_639_040, "6cd6e144f989b92b3379bac3b3de84fd"),
}
NOT_IN_LISTS = "voc2007/VOCtrainval_06-Nov-2007.tar"
SETS = (("VOC2007", "trainval", "train"), ("VOC2012", "trainval", "train"), ("VOC2007", "test", "test"))
COUNTS = {
    ("VOC2007", "trainval"): 5_011,
    ("VOC2012", "trainval"): 11_540,
    ("VOC2007", "test"): 4_952,
}  # pictures
DECLARATION = re.compile(
    rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,80}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']"""
)
log = logging.getLogger(__name__)
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


class VocParams(LongTailableParams):
    """`path` is the folder VOCdevkit (with VOC2007 and VOC2012), or its parent; None downloads.

    `lists` makes it VOC-LT: `published` downloads its lists, or it is a folder with voc_lt_train.txt and
    voc_lt_test.txt. None takes every picture of both years.
    """


class Voc(LongTailable):
    """Train is trainval of both years and test is that of 2007, or what the lists say; the group is the year.

    An object that is marked difficult counts as present, as in the long-tailed lists. Where there are lists, the
    labels are those of the lists.
    """

    Params = VocParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}
    name, longtailed = "voc", VOC_LT

    def _download(self, downloads: Path, folder: Path) -> None:
        for path, (size, md5) in ARCHIVES.items():
            if self.params.lists is None or path != NOT_IN_LISTS:
                archive = downloads / Path(path).name
                download(f"{URL}/{path}", archive, md5=md5, size=size)
                unpack(archive, folder / archive.stem)

    def _roots(self, raw: Path) -> list[Path]:
        """Return the folders that hold VOC2007 or VOC2012, up to two levels down. Raises UserError without one."""
        if self.params.path is None:
            return sorted(raw.glob("*/VOCdevkit"))
        folder = existing_folder(self.params.path, "voc.path")
        for roots in ([folder / "VOCdevkit"], [folder], folders_below(folder)):
            holding = [
                root for root in roots if any((root / year / "JPEGImages").is_dir() for year, _, _ in SETS)
            ]
            if holding:
                return holding
        raise UserError(f"{folder} is not Pascal VOC in its official layout: VOC2007 or VOC2012 is missing")

    def _read(self, raw: Path) -> list[Record]:
        roots = self._roots(raw)
        if self.params.lists is not None:
            return _of_lists(roots, published.read_lists(VOC_LT, raw))
        records = []
        for year, name, role in SETS:
            of_set = [record for root in roots for record in _of_set(root, year, name, role)]
            if len(of_set) != COUNTS[year, name]:
                told = roots[0], len(of_set), year, name, COUNTS[year, name]
                log.warning("%s: %d pictures of %s %s, the published list has %d", *told)
            records += of_set
        if not records:
            raise UserError(
                f"{roots} holds no list ImageSets/Main/trainval.txt or test.txt; unpack VOC again"
            )
        return records

    def _classes(self, raw: Path) -> tuple[str, ...]:
        return CLASSES

    def _listed(self, raw: Path, records: list[Record]) -> tuple[Path, list[Path]]:
        return self._roots(raw)[0], [record.image for record in records if isinstance(record.image, Path)]


SOURCE = Voc


def read_objects(path: Path) -> tuple[str, ...]:
    """Return the names of the objects of an annotation, sorted. Raises UserError when it cannot be read."""
    tree = _parsed(path)
    if tree.tag != "annotation":
        raise UserError(
            f"{path} is no annotation of VOC: it begins with <{tree.tag[:40]}>, not with <annotation>"
        )
    names = {(element.findtext("name") or "").strip() for element in tree.iter("object")}
    if "" in names:
        raise UserError(f"{path} holds an object without a name; add it, or remove the object")
    unknown = sorted(names - set(CLASSES))
    if unknown:
        raise UserError(f"{path} names the object {unknown[0][:60]!r}, which is none of VOC's 20 classes")
    return tuple(sorted(names))


def _parsed(path: Path) -> ElementTree.Element:
    """Parse an annotation in whatever encoding it declares: expat alone knows few of them."""
    try:
        data = path.read_bytes()
        declared = DECLARATION.match(data)
        content = data.decode(declared[1].decode("ascii")).lstrip("\ufeff \t\r\n") if declared else data
        return ElementTree.fromstring(content)  # noqa: S314 (the user's own files; expat limits entities)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; the layout of VOC is not complete") from None
    except (UnicodeError, LookupError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read in the encoding that it declares: {str(error)[:100]}; save it in UTF-8"
        ) from None
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is no annotation in XML: {error}") from None


def _record(root: Path, year: str, stem: str, role: str, labels: tuple[str, ...]) -> Record:
    return Record(
        id=f"{year}/{stem}",
        image=root / year / "JPEGImages" / f"{stem}.jpg",
        class_name=None,
        group=year,
        split=role,
        labels=labels,
    )


def _of_set(root: Path, year: str, name: str, role: str) -> list[Record]:
    """Return the pictures of one official set; none where this folder lacks it."""
    path = root / year / "ImageSets/Main" / f"{name}.txt"
    if not path.is_file():
        return []
    stems = [line.split()[0] for line in read_lines(path) if line.strip()]
    if not stems:
        raise UserError(f"{path} names no picture; copy it again")
    require_pictures(root, root / year / "JPEGImages", [f"{stem}.jpg" for stem in stems], path.name)
    notes = root / year / "Annotations"
    return [_record(root, year, stem, role, read_objects(notes / f"{stem}.xml")) for stem in stems]


def _of_lists(roots: list[Path], lists: Mapping[str, published.Labels]) -> list[Record]:
    records, differing = [], 0
    for role, labels in lists.items():
        for path, names in published.named(labels, CLASSES).items():
            year, stem = Path(path).parent.parent.name, Path(path).stem
            root = next((r for r in roots if (r / year / "JPEGImages" / f"{stem}.jpg").is_file()), None)
            if root is None:
                raise UserError(f"the list of {VOC_LT.name} names {few([path])}, which is not in {roots[0]}")
            differing += read_objects(root / year / "Annotations" / f"{stem}.xml") != names
            records.append(_record(root, year, stem, role, names))
    published.warn_of_other_labels(differing)
    return records
