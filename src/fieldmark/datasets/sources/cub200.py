"""CUB-200-2011 (Wah et al. 2011): 11,788 photographs of 200 bird species.

The captions are those of Reed et al. (CVPR 2016). For non-commercial research and teaching; the photographs
belong to their photographers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from fieldmark.datasets.archives import unpack
from fieldmark.datasets.captions import (
    DOWNLOAD,
    captions_folder,
    download_captions,
    read_captions,
    warn_of_few_captions,
)
from fieldmark.datasets.download import download, download_folder
from fieldmark.datasets.listing import (
    check_listing,
    existing_folder,
    official_layout,
    require_pictures,
    write_listing,
)
from fieldmark.datasets.records import Record
from fieldmark.datasets.tables import read_lines
from fieldmark.errors import UserError
from fieldmark.params import Block

URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
SIZE = 1_150_585_339
SHA256 = "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081"
TABLES = ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")
CAPTIONS = "cvpr2016_cub.tar.gz"


class Cub200Params(Block):
    """`path` is a folder in the official layout (the one with images.txt, or its parent); None downloads it.

    `captions` is a folder that holds `text_c10` at any depth, unpacked from cvpr2016_cub.tar.gz; "download"
    fetches that archive; None goes without captions.
    """

    path: str | None = None
    captions: str | None = None


class Cub200:
    """The official photographs, classes, split and boxes; the group is the last word of the class name."""

    Params = Cub200Params

    def __init__(self, params: Cub200Params) -> None:
        self.params = params

    @property
    def promises(self) -> Mapping[str, bool]:
        """Boxes always; captions when a folder of captions is named."""
        return {"captions": self.params.captions is not None, "boxes": True, "masks": False}

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing."""
        downloads = download_folder(destination)
        captions = download_captions(CAPTIONS, downloads) if self.params.captions == DOWNLOAD else None
        if self.params.path is None:
            archive = downloads / "CUB_200_2011.tgz"
            download(URL, archive, sha256=SHA256, size=SIZE)
            unpack(archive, destination)
        else:
            folder = self._folder(destination)
            write_listing(folder, self._files(folder), destination)
        if captions is not None:
            unpack(captions, destination / "captions")

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs in the order of images.txt."""
        folder = self._folder(raw)
        if self.params.path is not None:
            check_listing(folder, self._files(folder), raw)
        return iter(_records(folder, self._captions(raw)))

    def _folder(self, raw: Path) -> Path:
        path = self.params.path
        outer = raw if path is None else existing_folder(path, "cub200.path")
        return official_layout(outer, "CUB_200_2011", (*TABLES, "images"), "CUB-200-2011")

    def _captions(self, raw: Path) -> Path | None:
        setting = self.params.captions
        return None if setting is None else captions_folder(setting, raw / "captions", "cub200.captions")

    def _files(self, folder: Path) -> list[Path]:
        """Return the files that the records are made of, in a fixed order. Raises UserError when one is missing."""
        places = list(_table(folder / "images.txt").values())
        pictures = require_pictures(folder, folder / "images", places, "images.txt")
        own = self.params.captions not in (None, DOWNLOAD)
        captions = self._captions(folder) if own else None
        sentences = [] if captions is None else sorted(captions.glob("*/[!.]*.txt"))
        return [folder / name for name in TABLES] + pictures + sentences


SOURCE = Cub200


def _records(folder: Path, captions: Path | None) -> list[Record]:
    images, names, labels, split, boxes = (_table(folder / name) for name in TABLES)
    records = []
    for key, place in images.items():
        name = _look_up(names, _look_up(labels, key, folder / TABLES[2]), folder / TABLES[1])
        records.append(
            Record(
                id=place,
                image=folder / "images" / place,
                class_name=name,
                group=name.rpartition(".")[2].rpartition("_")[2],
                split="train" if _look_up(split, key, folder / TABLES[3]) == "1" else "test",
                box=_box(_look_up(boxes, key, folder / TABLES[4]), key, folder / TABLES[4]),
                captions=()
                if captions is None
                else read_captions(captions / Path(place).with_suffix(".txt")),
            )
        )
    warn_of_few_captions(records if captions else [])
    return records


def _table(path: Path) -> dict[str, str]:
    """Read lines of `<id> <value>`. Raises UserError for a line of another form or an id that comes twice."""
    table: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        key, _, value = line.strip().partition(" ")
        if not line.strip():
            continue
        if not value or key in table:
            raise UserError(
                f"{path}: line {number} should be '<id> <value>' with a new id, it is '{line[:60]}'"
            )
        table[key] = value.strip()
    return table


def _look_up(table: dict[str, str], key: str, path: Path) -> str:
    if key not in table:
        raise UserError(f"{path} has no line for id {key}")
    return table[key]


def _box(text: str, key: str, path: Path) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(part) for part in text.split())
    except ValueError:
        raise UserError(f"{path}: the box of id {key} should be four numbers, it is '{text}'") from None
    return x, y, width, height
