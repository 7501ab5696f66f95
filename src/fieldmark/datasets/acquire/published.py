"""The published long-tailed lists: which pictures of VOC and COCO take part, in which role, with which labels.

VOC-LT and COCO-LT are of Wu et al., Distribution-Balanced Loss (ECCV 2020); the lists are those of the LMPT
repository (Apache-2.0), of one commit. A line is "<path of the picture> <class index> <class index> ...".
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.download import download, download_folder
from fieldmark.datasets.acquire.listing import existing_folder
from fieldmark.datasets.acquire.tables import read_lines
from fieldmark.longtail.frequency import frequency_masks

COMMIT = "6a2dd5b53a624494df1bb2c8fe8459ac3860d22c"
URL = f"https://raw.githubusercontent.com/richard-peng-xia/LMPT/{COMMIT}/data"
PUBLISHED = "published"  # the value of `lists` that asks for the download
FOLDER = "lists"
log = logging.getLogger(__name__)

Labels = dict[str, tuple[int, ...]]  # class indices by path


@dataclass(frozen=True)
class Facts:
    """What is known of a list: its size in bytes, how many pictures it names, and how many of each class (`counts`).

    Where the counts of all classes are not published, there are `min_count` and `max_count`, the pictures of the
    rarest and of the most frequent class, and the indices of the classes of the `head` (100 pictures or more) and
    of the `tail` (fewer than 20).
    """

    size: int
    pictures: int
    counts: tuple[int, ...] | None = None
    min_count: int | None = None
    max_count: int | None = None
    head: tuple[int, ...] | None = None
    tail: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LongTailed:
    """A published set: its folder in the repository, its lists by role, its classes."""

    name: str
    folder: str
    classes: int
    train: Facts
    test: Facts

    def file(self, role: str) -> str:
        """Return the name of the list of a role."""
        return f"{self.folder}_lt_{role}.txt"

    def lists(self) -> Mapping[str, Facts]:
        """Return the facts by role."""
        return {"train": self.train, "test": self.test}


# fmt: off
VOC_LT = LongTailed(
    "VOC-LT", "voc", 20,
    train=Facts(57_433, 1_142, (6, 34, 8, 14, 154, 17, 249, 29, 479, 4, 240, 48, 11, 20, 775, 100, 5, 82, 7, 64)),
    test=Facts(217_854, 4_952, (
        205, 250, 289, 176, 240, 183, 775, 332, 545, 127, 247, 433, 279, 233, 2097, 254, 98, 355, 259, 255,
    )),
)
COCO_LT = LongTailed(
    "COCO-LT", "coco", 80,
    train=Facts(
        76_702, 1_909, min_count=6, max_count=1_128,
        head=(0, 2, 24, 26, 39, 41, 42, 43, 44, 45, 56, 57, 58, 60, 62, 63, 67, 69, 71, 72, 73, 75),
        tail=(
            4, 6, 10, 11, 12, 14, 17, 18, 19, 20, 21, 22, 23, 29, 30, 31, 33, 36, 37, 52, 54, 70, 76, 78, 79,
        ),
    ),
    test=Facts(164_352, 5_000, min_count=8, max_count=2_693),
)
# fmt: on


def fetch_lists(published: LongTailed, lists: str, destination: Path, folder: Path, parameter: str) -> None:
    """Put both lists into `folder`/lists: downloaded beside `destination`, or copied from the folder `lists`.

    Raises UserError when a list is missing, and when a downloaded list differs from what is known of it.
    """
    (folder / FOLDER).mkdir()
    for role, facts in published.lists().items():
        name = published.file(role)
        if lists == PUBLISHED:
            path = download_folder(destination) / name
            download(f"{URL}/{published.folder}/{name}", path, size=facts.size)
        else:
            path = existing_folder(lists, parameter) / name
            if not path.is_file():
                raise UserError(f"{parameter}: there is no list {path}")
        differs = difference(read_list(path, published.classes), published.classes, facts)
        if differs and lists == PUBLISHED:
            raise UserError(f"{path} is not the published list of {published.name}: {differs}; delete it")
        if differs:
            log.warning("%s: %s; results cannot be compared with published ones", path, differs)
        shutil.copy(path, folder / FOLDER / name)


def read_lists(published: LongTailed, raw: Path) -> dict[str, Labels]:
    """Return the lists that `fetch_lists` left in `raw`, by role. Raises UserError when they are not there."""
    paths = {role: raw / FOLDER / published.file(role) for role in published.lists()}
    for path in paths.values():
        if not path.is_file():
            raise UserError(f"{path} does not exist; run `download` first")
    return {role: read_list(path, published.classes) for role, path in paths.items()}


def read_list(path: Path, classes: int) -> Labels:
    """Return the class indices of every picture of a list, in its order; a picture may have none.

    Raises UserError, naming the line, for an index that is not below `classes`, for a picture or an index that is
    named twice, and for a path that leads out of its folder.
    """
    labels: Labels = {}
    for number, line in enumerate(read_lines(path), start=1):
        picture, *indices = line.split() or [""]
        if not picture:
            continue
        known = all(text.isascii() and text.isdigit() and int(text) < classes for text in indices)
        if not known or len(set(indices)) < len(indices):
            raise UserError(
                f"{path}: line {number} should be a path and different indices below {classes}, it is '{line[:60]}'"
            )
        if picture in labels or picture.startswith("/") or ".." in picture.split("/"):
            raise UserError(f"{path}: line {number} names a picture twice or outside its folder, '{picture}'")
        labels[picture] = tuple(int(text) for text in indices)
    if not labels:
        raise UserError(f"{path} names no picture")
    return labels


def count_labels(labels: Labels, classes: int) -> Sequence[int]:
    """Return in how many pictures each class occurs."""
    indices = np.fromiter((index for of_picture in labels.values() for index in of_picture), dtype=np.int64)
    counts: list[int] = np.bincount(indices, minlength=classes).tolist()
    return counts


def difference(labels: Labels, classes: int, facts: Facts) -> str:
    """Say in what a list differs from what is known of it; nothing when it agrees."""
    counts = count_labels(labels, classes)
    groups = {name: tuple(np.flatnonzero(mask).tolist()) for name, mask in frequency_masks(counts).items()}
    other_counts = [i for i, known in enumerate(facts.counts or counts) if counts[i] != known]
    checks = (
        ("pictures", len(labels), facts.pictures),
        ("classes with other counts", len(other_counts), 0),
        ("pictures of the rarest class", min(counts), facts.min_count),
        ("pictures of the most frequent class", max(counts), facts.max_count),
        ("as classes of the head", groups["head"], facts.head),
        ("as classes of the tail", groups["tail"], facts.tail),
    )
    wrong = [f"{actual} {what}, not {known}" for what, actual, known in checks if known not in (None, actual)]
    return "; ".join(wrong)


def warn_of_other_labels(pictures: int) -> None:
    """Log in how many pictures a list differs from the annotation."""
    if pictures:
        log.warning("%d pictures have other labels in the list than in their annotation", pictures)


def named(labels: Labels, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the class names of every picture, sorted."""
    return {picture: tuple(sorted(names[index] for index in indices)) for picture, indices in labels.items()}
