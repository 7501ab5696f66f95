"""DeepFashion In-Shop (Liu et al. 2016): 52,712 photographs of 7,982 clothes, with queries and a gallery.

For non-commercial research and teaching. A person must accept the terms, so nothing is downloaded.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.listing import require_pictures
from fieldmark.datasets.acquire.official import ByHand, Contents, OfficialParams
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.tables import read_lines, read_rows, warn_of_other_splits

PAGE = "http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html"
LIST = "Eval/list_eval_partition.txt"
COLUMNS = ("image_name", "item_id", "evaluation_status")
COUNTS = {"train": (25_882, 3_997), "query": (14_218, 3_985), "gallery": (12_612, 3_985)}  # pictures, items


class InShopParams(OfficialParams):
    """`path` is the folder that holds Img/img and Eval, as the official page lays them out."""


class InShop(ByHand):
    """The official photographs and partition (train, query, gallery); the group is `<sex>/<kind of clothes>`."""

    Params = InShopParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}
    name, title = "inshop", "DeepFashion In-Shop"
    inner, needed = "", (LIST, "Img/img")
    advice = (
        "In-Shop is not downloaded, for its terms must be accepted by you; get Img/img.zip "
        f"and {LIST} from {PAGE}, unpack img.zip into Img, and name the folder that holds Img/img and Eval"
    )

    def _read(self, folder: Path, raw: Path) -> Contents:
        records = _records(folder)
        paths = [record.id for record in records]
        return [folder / LIST, *require_pictures(folder, folder / "Img", paths, LIST)], records


SOURCE = InShop


def _records(folder: Path) -> list[Record]:
    path = folder / LIST
    rows = read_rows(path, COLUMNS, before=1)
    announced = read_lines(path)[0].strip()
    if announced != str(len(rows)):
        raise UserError(f"{path} announces {announced} pictures and names {len(rows)}; copy it again")
    unknown = sorted({row["evaluation_status"] for row in rows} - COUNTS.keys())
    if unknown:
        raise UserError(f"{path} has the status {unknown[0][:60]!r}; it may be {', '.join(COUNTS)}")
    records = [
        Record(
            id=row["image_name"],
            image=folder / "Img" / row["image_name"],
            class_name=row["item_id"],
            group="/".join(row["image_name"].split("/")[1:-2]),
            split=row["evaluation_status"],
        )
        for row in rows
    ]
    warn_of_other_splits(path, records, COUNTS)
    return records
