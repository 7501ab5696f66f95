"""FGVC-Aircraft, release 2013b (Maji et al. 2013): 10,000 photographs of 100 variants of aircraft.

For non-commercial research; the photographs belong to their photographers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from fieldmark.datasets.archives import unpack
from fieldmark.datasets.download import download, download_folder
from fieldmark.datasets.listing import (
    check_listing,
    existing_folder,
    official_layout,
    require_pictures,
    write_listing,
)
from fieldmark.datasets.records import Record
from fieldmark.datasets.tables import read_lines, warn_of_other_counts
from fieldmark.errors import UserError
from fieldmark.params import Block

URL = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"
MD5 = "d4acdd33327262359767eeaa97a4f732"
FOLDER = "fgvc-aircraft-2013b"
SPLITS = {"train": "trainval", "test": "test"}  # the usual classification trains on both parts of trainval
KINDS = ("variant", "manufacturer")
BOXES = "images_box.txt"
TABLES = ("variants.txt", *(f"images_{kind}_{part}.txt" for part in SPLITS.values() for kind in KINDS), BOXES)
COUNTS = {"train": (6_667, 100), "test": (3_333, 100)}  # pictures, variants
BANNER = 20  # rows of pixels at the bottom of every picture: its credit line, to be removed before use


class AircraftParams(Block):
    """`path` is a folder in the official layout (data/, or the one that holds it); None downloads it (2.75 GB)."""

    path: str | None = None


class Aircraft:
    """The official photographs without their credit line, variants, boxes and split; the group is the maker.

    A class is named `<number>.<variant>` by its line in variants.txt, so that the sorted names have that order.
    """

    Params = AircraftParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": True, "masks": False}

    def __init__(self, params: AircraftParams) -> None:
        self.params = params

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing."""
        if self.params.path is None:
            archive = download_folder(destination) / f"{FOLDER}.tar.gz"
            download(URL, archive, md5=MD5)
            unpack(archive, destination)
            return
        folder = self._folder(destination)
        write_listing(folder, _files(folder, _records(folder)), destination)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs in the order of the trainval list, then of the test list."""
        folder = self._folder(raw)
        records = _records(folder)
        files = _files(folder, records)
        if self.params.path is not None:
            check_listing(folder, files, raw)
        return iter(records)

    def _folder(self, raw: Path) -> Path:
        path = self.params.path
        outer = raw if path is None else existing_folder(path, "aircraft.path")
        if (outer / FOLDER).is_dir():
            outer = outer / FOLDER
        return official_layout(outer, "data", (*TABLES, "images"), "FGVC-Aircraft 2013b")


SOURCE = Aircraft


def _records(folder: Path) -> list[Record]:
    variants = [line.strip() for line in read_lines(folder / "variants.txt") if line.strip()]
    names = {variant: f"{n:03d}.{variant.replace('/', '-')}" for n, variant in enumerate(variants, start=1)}
    boxes = _table(folder / BOXES)
    records = []
    for split, part in SPLITS.items():
        path = folder / f"images_variant_{part}.txt"
        pictures, makers = _table(path), _table(folder / f"images_manufacturer_{part}.txt")
        warn_of_other_counts(path, split, (len(pictures), len(set(pictures.values()))), COUNTS[split])
        for key, variant in pictures.items():
            records.append(
                Record(
                    id=f"{key}.jpg",
                    image=folder / "images" / f"{key}.jpg",
                    class_name=_look_up(names, variant, folder / "variants.txt"),
                    group=_look_up(makers, key, folder / f"images_manufacturer_{part}.txt"),
                    split=split,
                    box=_box(_look_up(boxes, key, folder / BOXES), key, folder / BOXES),
                    cut_below=BANNER,
                )
            )
    return records


def _files(folder: Path, records: list[Record]) -> list[Path]:
    places = [record.id for record in records]
    pictures = require_pictures(folder, folder / "images", places, "images_variant_*.txt")
    return [folder / name for name in TABLES] + pictures


def _table(path: Path) -> dict[str, str]:
    """Read lines of `<image id> <value, perhaps with blanks>`. Raises UserError for a line of another form."""
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        key, _, value = line.strip().partition(" ")
        if not line.strip():
            continue
        if not value.strip() or key in table:
            raise UserError(
                f"{path}: line {number} should be '<image id> <value>' with a new id, it is '{line[:60]}'"
            )
        table[key] = value.strip()
    return table


def _look_up(table: dict[str, str], key: str, path: Path) -> str:
    if key not in table:
        raise UserError(f"{path} has no line for '{key}'")
    return table[key]


def _box(text: str, key: str, path: Path) -> tuple[float, float, float, float]:
    """Return x, y, width, height of a box given as its first and last pixels, counted from 1."""
    try:
        left, top, right, bottom = (float(part) for part in text.split())
    except ValueError:
        raise UserError(f"{path}: the box of {key} should be four numbers, it is '{text}'") from None
    return left - 1, top - 1, right - left + 1, bottom - top + 1
