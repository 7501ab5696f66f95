"""ADE20K in the form of the scene parsing benchmark SceneParse150 (Zhou et al., CVPR 2017).

20,210 photographs for training and 2,000 for the test, every pixel of 150 classes or without label. For
non-commercial research; the photographs belong to their photographers.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.listing import few, require_pictures
from fieldmark.datasets.acquire.official import Contents, Official, OfficialParams
from fieldmark.datasets.acquire.records import MaskLabels, Record
from fieldmark.datasets.acquire.tables import read_lines, warn_of_other_counts

URL = "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip"
MD5 = "7328b3957e407ddae1d3cbf487f149ef"
FOLDER = "ADEChallengeData2016"
NAMES, SCENES = "objectInfo150.txt", "sceneCategories.txt"
HALVES = {"train": "training", "test": "validation"}  # the test pictures of the benchmark have no masks
CLASSES = 150
COUNTS = {"train": (20_210, CLASSES), "test": (2_000, CLASSES)}  # pictures, classes
log = logging.getLogger(__name__)


class Ade20kParams(OfficialParams):
    """`path` is a folder in the official layout (the one with objectInfo150.txt, or its parent); None downloads it."""


class Ade20k(Official):
    """The official photographs, masks and split; the group is the scene. Photographs have no class."""

    Params = Ade20kParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": True}
    name, title = "ade20k", "SceneParse150"
    inner, needed = FOLDER, (NAMES, SCENES, "images", "annotations")

    def _download(self, downloads: Path, destination: Path) -> None:
        archive = downloads / f"{FOLDER}.zip"
        download(URL, archive, md5=MD5)
        unpack(archive, destination)

    def _read(self, folder: Path, raw: Path) -> Contents:
        return _files(folder), _records(folder)


SOURCE = Ade20k


def _records(folder: Path) -> Iterator[Record]:
    labels = replace(MaskLabels.skipping(_class_names(folder / NAMES), ignored=(0,)), absent="said")
    scenes = dict(line.split()[:2] for line in read_lines(folder / SCENES) if len(line.split()) >= 2)
    for split, half in HALVES.items():
        stems = _stems(folder, half)
        counts = len(stems), len(labels.names)
        warn_of_other_counts(folder / "images" / half, split, counts, COUNTS[split])
        bare = [stem for stem in stems if stem not in scenes]
        if bare:
            log.warning("%s names no scene of %d pictures: %s", folder / SCENES, len(bare), few(bare))
        for stem in stems:
            yield Record(
                id=stem,
                image=folder / _picture(half, stem),
                class_name=None,
                group=scenes.get(stem),
                split=split,
                mask=folder / _mask(half, stem),
                mask_labels=labels,
            )


def _files(folder: Path) -> list[Path]:
    """Return every file that the records are made of. Raises UserError when a mask is missing."""
    files = [folder / NAMES, folder / SCENES]
    for half in HALVES.values():
        stems = _stems(folder, half)
        files += [folder / _picture(half, stem) for stem in stems]
        files += require_pictures(folder, folder, [_mask(half, stem) for stem in stems], "annotations")
    return files


def _stems(folder: Path, half: str) -> list[str]:
    stems = sorted(path.stem for path in (folder / "images" / half).glob("[!.]*.jpg"))
    if not stems:
        raise UserError(
            f"{folder} is not SceneParse150 in its official layout: images/{half} holds no picture"
        )
    return stems


def _picture(half: str, stem: str) -> str:
    return f"images/{half}/{stem}.jpg"


def _mask(half: str, stem: str) -> str:
    return f"annotations/{half}/{stem}.png"


def _class_names(path: Path) -> list[str]:
    """Return the names of the classes 1, 2, ...: the last column of a table with tabs between its columns."""
    names: list[str] = []
    for number, line in enumerate(read_lines(path)[1:], start=2):
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        if not cells:
            continue
        known = len(cells) >= 2 and any(map(str.isalpha, cells[-1]))
        if not known or cells[0] != str(len(names) + 1):
            raise UserError(
                f"{path}: line {number} should give class {len(names) + 1} and its name, it is '{line[:60]}'"
            )
        names.append(cells[-1].partition(",")[0])  # the first of its synonyms
    if not names:
        raise UserError(f"{path} names no class")
    return names
