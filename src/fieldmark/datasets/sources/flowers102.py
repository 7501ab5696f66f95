"""Oxford Flowers-102 (Nilsback and Zisserman 2008): 8,189 photographs of 102 flowers.

The captions are those of Reed et al. (CVPR 2016). No terms are stated; take it as for research.
"""

from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.captions import Captioned, CaptionedParams, read_captions
from fieldmark.datasets.acquire.download import download
from fieldmark.datasets.acquire.listing import require_pictures
from fieldmark.datasets.acquire.matlab import read_mat, whole_numbers
from fieldmark.datasets.acquire.records import Record
from fieldmark.datasets.acquire.tables import warn_of_other_splits

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
MD5 = {
    "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
    "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
    "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
}
LABELS, SETS = "imagelabels.mat", "setid.mat"
PARTS = {"trnid": "train", "valid": "train", "tstid": "test"}  # classification usually trains on both parts
COUNTS = {"train": (2_040, 102), "test": (6_149, 102)}  # pictures, classes


class Flowers102Params(CaptionedParams):
    """`path` is a folder in the official layout (with jpg/ and the two .mat files), or its parent; None downloads.

    `captions` is a folder that holds `text_c10` at any depth, unpacked from cvpr2016_flowers.tar.gz; "download"
    fetches that archive; None goes without captions.
    """


class Flowers102(Captioned):
    """The official photographs, classes and split. Classes have numbers and no published names."""

    Params = Flowers102Params
    name, title = "flowers102", "Oxford Flowers-102"
    inner, needed = "flowers-102", (LABELS, SETS, "jpg")
    boxes = False
    archive, texts = "cvpr2016_flowers.tar.gz", "**/image_*.txt"

    def _download(self, downloads: Path, destination: Path) -> None:
        archives = downloads / "flowers102"
        for name, md5 in MD5.items():
            download(f"{URL}{name}", archives / name, md5=md5)
        with atomic_folder(destination) as folder:
            unpack(archives / "102flowers.tgz", folder / "unpacked")
            (folder / "unpacked" / "jpg").rename(folder / "jpg")
            (folder / "unpacked").rmdir()
            for name in (LABELS, SETS):
                (folder / name).write_bytes((archives / name).read_bytes())

    def _files(self, folder: Path) -> list[Path]:
        names = [_file_name(number) for number in _labels(folder)]
        pictures = require_pictures(folder, folder / "jpg", names, LABELS)
        return [folder / LABELS, folder / SETS, *pictures]

    def _records(self, folder: Path, captions: Path | None) -> list[Record]:
        # A caption goes with its picture's number: the folders between are those of a zero-shot split.
        texts = {path.stem: path for path in sorted(captions.glob(self.texts))} if captions else {}
        labels, split = _labels(folder), _split(folder)
        records = []
        for number, label in labels.items():
            if number not in split:
                raise UserError(f"{folder / SETS}: picture {number} is in none of {', '.join(PARTS)}")
            name = _file_name(number)
            text = texts.get(Path(name).stem)
            records.append(
                Record(
                    id=name,
                    image=folder / "jpg" / name,
                    class_name=f"{label:03d}",
                    split=split[number],
                    captions=() if text is None else read_captions(text),
                )
            )
        warn_of_other_splits(folder / SETS, records, COUNTS)
        return records


SOURCE = Flowers102


def _labels(folder: Path) -> dict[int, int]:
    """Return the class, from 1, by the picture's number, from 1."""
    [labels] = read_mat(folder / LABELS, "labels")
    return dict(enumerate(whole_numbers(labels, folder / LABELS, "labels"), start=1))


def _split(folder: Path) -> dict[int, str]:
    roles: dict[int, str] = {}
    for (name, role), values in zip(PARTS.items(), read_mat(folder / SETS, *PARTS), strict=True):
        for number in whole_numbers(values, folder / SETS, name):
            if number in roles:
                raise UserError(f"{folder / SETS}: picture {number} is in two of {', '.join(PARTS)}")
            roles[number] = role
    return roles


def _file_name(number: int) -> str:
    return f"image_{number:05d}.jpg"
