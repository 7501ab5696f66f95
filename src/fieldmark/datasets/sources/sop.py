"""Stanford Online Products (Song et al. 2016): 120,053 photographs of 22,634 products in 12 categories.

The terms of use are in the archive's LICENSE.
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
from fieldmark.datasets.tables import read_rows, warn_of_other_counts
from fieldmark.params import Block

URL = (
    "https://drive.usercontent.google.com/download"
    "?id=1TclrpQOF_ullUP99wk_gjGN8pKvtErG8&export=download&authuser=0&confirm=t"
)
SIZE = 3_083_860_082
SHA256 = "b04fa78210e69fab050ce73939550e1cd0f96890bdd98ec9fee732c3b756ef48"
FOLDER = "Stanford_Online_Products"
LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
COLUMNS = ("image_id", "class_id", "super_class_id", "path")
COUNTS = {"train": (59_551, 11_318), "test": (60_502, 11_316)}  # pictures, classes


class SopParams(Block):
    """`path` is a folder in the official layout (the one with Ebay_train.txt, or its parent); None downloads it."""

    path: str | None = None


class Sop:
    """The official photographs and the official split, which is class-disjoint; the group is the category.

    A class is named `<class id>.<category>`, so that the sorted names have the official order.
    """

    Params = SopParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}

    def __init__(self, params: SopParams) -> None:
        self.params = params

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing."""
        if self.params.path is None:
            archive = download_folder(destination) / f"{FOLDER}.zip"
            download(URL, archive, sha256=SHA256, size=SIZE)
            unpack(archive, destination)
            return
        folder = self._folder(destination)
        write_listing(folder, _files(folder, _records(folder)), destination)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs in the order of Ebay_train.txt, then of Ebay_test.txt."""
        folder = self._folder(raw)
        records = _records(folder)
        files = _files(folder, records)
        if self.params.path is not None:
            check_listing(folder, files, raw)
        return iter(records)

    def _folder(self, raw: Path) -> Path:
        path = self.params.path
        outer = raw if path is None else existing_folder(path, "sop.path")
        return official_layout(outer, FOLDER, tuple(LISTS.values()), "Stanford Online Products")


SOURCE = Sop


def _records(folder: Path) -> list[Record]:
    records = []
    for split, name in LISTS.items():
        rows = read_rows(folder / name, COLUMNS)
        classes = {row["class_id"] for row in rows}
        warn_of_other_counts(folder / name, split, (len(rows), len(classes)), COUNTS[split])
        records += [_record(folder, row, split) for row in rows]
    return records


def _record(folder: Path, row: dict[str, str], split: str) -> Record:
    category = row["path"].partition("/")[0].removesuffix("_final")
    return Record(
        id=row["path"],
        image=folder / row["path"],
        class_name=f"{row['class_id']:0>5}.{category}",
        group=category,
        split=split,
    )


def _files(folder: Path, records: list[Record]) -> list[Path]:
    pictures = require_pictures(
        folder, folder, [record.id for record in records], " and ".join(LISTS.values())
    )
    return [folder / name for name in LISTS.values()] + pictures
