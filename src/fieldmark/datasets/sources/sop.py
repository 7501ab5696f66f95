"""Stanford Online Products (Song et al. 2016): 120,053 photographs of 22,634 products in 12 categories.

The terms of use are in the archive's LICENSE.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.listing import require_pictures
from fieldmark.datasets.acquire.official import Contents, Official, OfficialParams
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.tables import read_rows, warn_of_other_counts

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


class SopParams(OfficialParams):
    """`path` is a folder in the official layout (the one with Ebay_train.txt, or its parent); None downloads it."""


class Sop(Official):
    """The official photographs and the official split, which is class-disjoint; the group is the category.

    A class is named `<class id>.<category>`, so that the sorted names have the official order.
    """

    Params = SopParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}
    name, title = "sop", "Stanford Online Products"
    inner, needed = FOLDER, tuple(LISTS.values())

    def _download(self, downloads: Path, destination: Path) -> None:
        archive = downloads / f"{FOLDER}.zip"
        download(URL, archive, sha256=SHA256, size=SIZE)
        unpack(archive, destination)

    def _read(self, folder: Path, raw: Path) -> Contents:
        records = _records(folder)
        paths = [record.id for record in records]
        pictures = require_pictures(folder, folder, paths, " and ".join(LISTS.values()))
        return [folder / name for name in LISTS.values()] + pictures, records


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
