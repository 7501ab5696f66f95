"""FGVC-Aircraft, release 2013b (Maji et al. 2013): 10,000 photographs of 100 variants of aircraft.

For non-commercial research; the photographs belong to their photographers.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.listing import few, require_pictures
from fieldmark.datasets.acquire.official import Contents, Official, OfficialParams
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.tables import (
    Table,
    from_corners,
    read_box,
    read_lines,
    read_table,
    warn_of_other_counts,
)

URL = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"
MD5 = "d4acdd33327262359767eeaa97a4f732"
FOLDER = "fgvc-aircraft-2013b"
SPLITS = {"train": "trainval", "test": "test"}  # the usual classification trains on both parts of trainval
KINDS = ("variant", "manufacturer")
BOXES = "images_box.txt"
TABLES = ("variants.txt", *(f"images_{kind}_{part}.txt" for part in SPLITS.values() for kind in KINDS), BOXES)
COUNTS = {"train": (6_667, 100), "test": (3_333, 100)}  # pictures, variants
BANNER = 20  # rows of pixels at the bottom of every picture: a credit line, which must be removed


class AircraftParams(OfficialParams):
    """`path` is a folder in the official layout (data/, or the one that holds it); None downloads it (2.75 GB)."""


class Aircraft(Official):
    """The official photographs without their credit line, variants, boxes and split; the group is the maker.

    A class is called `<number>.<variant>` with the number of its line in variants.txt: sorted names have that order.
    """

    Params = AircraftParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": True, "masks": False}
    name, title = "aircraft", "FGVC-Aircraft 2013b"
    inner, needed = "data", (*TABLES, "images")

    def _download(self, downloads: Path, destination: Path) -> None:
        archive = downloads / f"{FOLDER}.tar.gz"
        download(URL, archive, md5=MD5)
        unpack(archive, destination)

    def _read(self, folder: Path, raw: Path) -> Contents:
        records = _records(folder)
        names = [record.id for record in records]
        pictures = require_pictures(folder, folder / "images", names, "images_variant_*.txt")
        return [folder / name for name in TABLES] + pictures, records

    def _classes(self, folder: Path) -> list[str]:
        return list(_variants(folder / "variants.txt").values.values())

    def _layout(self, outer: Path) -> Path:
        return super()._layout(outer / FOLDER if (outer / FOLDER).is_dir() else outer)


SOURCE = Aircraft


def _records(folder: Path) -> list[Record]:
    variants, boxes = _variants(folder / "variants.txt"), read_table(folder / BOXES)
    records = []
    for split, part in SPLITS.items():
        pictures, makers = (read_table(folder / f"images_{kind}_{part}.txt") for kind in KINDS)
        counts = len(pictures.values), len(set(pictures.values.values()))
        warn_of_other_counts(pictures.path, split, counts, COUNTS[split])
        for key, variant in pictures.values.items():
            records.append(
                Record(
                    id=f"{key}.jpg",
                    image=folder / "images" / f"{key}.jpg",
                    class_name=variants.look_up(variant),
                    group=makers.look_up(key),
                    split=split,
                    box=from_corners(*read_box(boxes.look_up(key), key, boxes.path)),
                    cut_below=BANNER,
                )
            )
    return records


def _variants(path: Path) -> Table:
    """Return the class names by variant; a slash (F/A-18) becomes "-", since class names occur in file names."""
    names = [line.strip() for line in read_lines(path) if line.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path} names {few(twice)} twice; copy it again")
    return Table(path, {name: f"{n:03d}.{name.replace('/', '-')}" for n, name in enumerate(names, start=1)})
