"""DeepFashion In-Shop (Liu et al. 2016): 52,712 photographs of 7,982 clothes, with queries and a gallery.

For non-commercial research and teaching. Its terms must be accepted by a person, so nothing is downloaded.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from fieldmark.datasets.listing import (
    check_listing,
    existing_folder,
    official_layout,
    require_pictures,
    write_listing,
)
from fieldmark.datasets.records import Record
from fieldmark.datasets.tables import read_lines, read_rows, warn_of_other_counts
from fieldmark.errors import UserError
from fieldmark.params import Block

PAGE = "http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html"
LIST = "Eval/list_eval_partition.txt"
COLUMNS = ("image_name", "item_id", "evaluation_status")
COUNTS = {"train": (25_882, 3_997), "query": (14_218, 3_985), "gallery": (12_612, 3_985)}  # pictures, items


class InShopParams(Block):
    """`path` is the folder that holds Img/img and Eval, as the official page lays them out."""

    path: str | None = None


class InShop:
    """The official photographs and partition (train, query, gallery); the group is `<sex>/<kind of clothes>`."""

    Params = InShopParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}

    def __init__(self, params: InShopParams) -> None:
        self.params = params

    def fetch(self, destination: Path) -> None:
        """Check the named folder and record its listing. Raises UserError saying what to get when there is none."""
        folder = self._folder()
        write_listing(folder, _files(folder, _records(folder)), destination)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs in the order of the official list."""
        folder = self._folder()
        records = _records(folder)
        check_listing(folder, _files(folder, records), raw)
        return iter(records)

    def _folder(self) -> Path:
        if self.params.path is None:
            raise UserError(
                "inshop.path: In-Shop is not downloaded, for its terms must be accepted by you; get Img/img.zip "
                f"and {LIST} from {PAGE}, unpack img.zip into Img, and name the folder that holds Img/img and Eval"
            )
        folder = existing_folder(self.params.path, "inshop.path")
        return official_layout(folder, "", (LIST, "Img/img"), "DeepFashion In-Shop")


SOURCE = InShop


def _records(folder: Path) -> list[Record]:
    path = folder / LIST
    rows = read_rows(path, COLUMNS, before=1)
    announced = read_lines(path)[0].strip()
    if announced != str(len(rows)):
        raise UserError(f"{path} announces {announced} pictures and names {len(rows)}; copy it again")
    _check_statuses(path, rows)
    return [
        Record(
            id=row["image_name"],
            image=folder / "Img" / row["image_name"],
            class_name=row["item_id"],
            group="/".join(row["image_name"].split("/")[1:-2]),
            split=row["evaluation_status"],
        )
        for row in rows
    ]


def _check_statuses(path: Path, rows: list[dict[str, str]]) -> None:
    counts = Counter(row["evaluation_status"] for row in rows)
    unknown = sorted(counts.keys() - COUNTS.keys())
    if unknown:
        raise UserError(f"{path} has the status '{unknown[0]}'; it may be {', '.join(COUNTS)}")
    for status, official in COUNTS.items():
        items = {row["item_id"] for row in rows if row["evaluation_status"] == status}
        warn_of_other_counts(path, status, (counts[status], len(items)), official)


def _files(folder: Path, records: list[Record]) -> list[Path]:
    places = [record.id for record in records]
    return [folder / LIST, *require_pictures(folder, folder / "Img", places, LIST)]
