"""CUB-200-2011 (Wah et al. 2011): 11,788 photographs of 200 bird species.

The captions are those of Reed et al. (CVPR 2016). For non-commercial research and teaching; the photographs
belong to their photographers.
"""

import logging
from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.captions import Captioned, CaptionedParams, read_captions
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.listing import few, require_pictures
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.tables import Table, read_box, read_table

URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
SIZE = 1_150_585_339
SHA256 = "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081"
TABLES = ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")
IDS = ("id", "id {}")  # what messages call a key of the tables, and how they show one
log = logging.getLogger(__name__)


class Cub200Params(CaptionedParams):
    """`path` is a folder in the official layout (the one with images.txt, or its parent); None downloads it.

    `captions` is a folder that holds `text_c10` at any depth, unpacked from cvpr2016_cub.tar.gz; "download"
    fetches that archive; None goes without captions.
    """


class Cub200(Captioned):
    """The official photographs, classes, split and boxes; the group is the last word of the class name."""

    Params = Cub200Params
    name, title = "cub200", "CUB-200-2011"
    inner, needed = "CUB_200_2011", (*TABLES, "images")
    boxes = True
    archive, texts = "cvpr2016_cub.tar.gz", "*/[!.]*.txt"

    def _download(self, downloads: Path, destination: Path) -> None:
        archive = downloads / "CUB_200_2011.tgz"
        download(URL, archive, sha256=SHA256, size=SIZE)
        unpack(archive, destination)

    def _files(self, folder: Path) -> list[Path]:
        paths = list(read_table(folder / "images.txt", *IDS).values.values())
        pictures = require_pictures(folder, folder / "images", paths, "images.txt")
        return [folder / name for name in TABLES] + pictures

    def _classes(self, folder: Path) -> list[str]:
        return list(read_table(folder / "classes.txt", *IDS).values.values())

    def _records(self, folder: Path, captions: Path | None) -> list[Record]:
        images, names, labels, split, boxes = (read_table(folder / name, *IDS) for name in TABLES)
        unnamed = sorted(labels.values.keys() - images.values.keys())
        if unnamed:
            log.warning(
                "%s has no line for %d ids of %s: %s",
                images.path,
                len(unnamed),
                labels.path.name,
                few(unnamed),
            )
        records = []
        for key, picture in images.values.items():
            name = names.look_up(labels.look_up(key))
            text = None if captions is None else captions / Path(picture).with_suffix(".txt")
            records.append(
                Record(
                    id=picture,
                    image=folder / "images" / picture,
                    class_name=name,
                    group=name.rpartition(".")[2].rpartition("_")[2],
                    split=_role(split, key),
                    box=read_box(boxes.look_up(key), f"id {key}", boxes.path),
                    captions=() if text is None else read_captions(text),
                )
            )
        return records


SOURCE = Cub200


def _role(split: Table, key: str) -> str:
    """Return the role of a photograph. Raises UserError for anything but 1, training, and 0, the test."""
    written = split.look_up(key)
    if written not in ("0", "1"):
        raise UserError(
            f"{split.path}: id {key[:60]} should be 1 (training) or 0 (test), it is '{written[:60]}'"
        )
    return "train" if written == "1" else "test"
