"""Oxford Flowers-102 (Nilsback and Zisserman 2008): 8,189 photographs of 102 flowers.

The captions are those of Reed et al. (CVPR 2016). No terms are stated; take it as for research.
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
from fieldmark.datasets.matlab import read_mat
from fieldmark.datasets.records import Record
from fieldmark.datasets.tables import warn_of_other_counts
from fieldmark.errors import UserError
from fieldmark.files import atomic_folder
from fieldmark.params import Block

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
MD5 = {
    "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
    "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
    "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
}
LABELS, SETS = "imagelabels.mat", "setid.mat"
PARTS = {"trnid": "train", "valid": "train", "tstid": "test"}  # the usual classification trains on both
COUNTS = {"train": (2_040, 102), "test": (6_149, 102)}  # pictures, classes
CAPTIONS = "cvpr2016_flowers.tar.gz"


class Flowers102Params(Block):
    """`path` is a folder in the official layout (with jpg/ and the two .mat files), or its parent; None downloads.

    `captions` is a folder that holds `text_c10` at any depth, unpacked from cvpr2016_flowers.tar.gz; "download"
    fetches that archive; None goes without captions.
    """

    path: str | None = None
    captions: str | None = None


class Flowers102:
    """The official photographs, classes and split. Classes have numbers and no published names."""

    Params = Flowers102Params

    def __init__(self, params: Flowers102Params) -> None:
        self.params = params

    @property
    def promises(self) -> Mapping[str, bool]:
        """Captions when a folder of captions is named."""
        return {"captions": self.params.captions is not None, "boxes": False, "masks": False}

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing."""
        downloads = download_folder(destination)
        captions = download_captions(CAPTIONS, downloads) if self.params.captions == DOWNLOAD else None
        if self.params.path is None:
            _download(downloads, destination)
        else:
            folder = self._folder(destination)
            write_listing(folder, self._files(folder), destination)
        if captions is not None:
            unpack(captions, destination / "captions")

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs in the order of their numbers."""
        folder = self._folder(raw)
        if self.params.path is not None:
            check_listing(folder, self._files(folder), raw)
        return iter(_records(folder, self._captions(raw)))

    def _folder(self, raw: Path) -> Path:
        path = self.params.path
        outer = raw if path is None else existing_folder(path, "flowers102.path")
        return official_layout(outer, "flowers-102", (LABELS, SETS, "jpg"), "Oxford Flowers-102")

    def _captions(self, raw: Path) -> Path | None:
        setting = self.params.captions
        return None if setting is None else captions_folder(setting, raw / "captions", "flowers102.captions")

    def _files(self, folder: Path) -> list[Path]:
        """Return the files that the records are made of, in a fixed order. Raises UserError when one is missing."""
        places = [_file_name(number) for number in _labels(folder)]
        pictures = require_pictures(folder, folder / "jpg", places, LABELS)
        own = self.params.captions not in (None, DOWNLOAD)
        captions = self._captions(folder) if own else None
        sentences = [] if captions is None else sorted(captions.rglob("image_*.txt"))
        return [folder / LABELS, folder / SETS, *pictures, *sentences]


SOURCE = Flowers102


def _download(downloads: Path, destination: Path) -> None:
    for name, md5 in MD5.items():
        download(f"{URL}{name}", downloads / "flowers102" / name, md5=md5)
    with atomic_folder(destination) as folder:
        unpack(downloads / "flowers102" / "102flowers.tgz", folder / "unpacked")
        (folder / "unpacked" / "jpg").rename(folder / "jpg")
        (folder / "unpacked").rmdir()
        for name in (LABELS, SETS):
            (folder / name).write_bytes((downloads / "flowers102" / name).read_bytes())


def _records(folder: Path, captions: Path | None) -> list[Record]:
    # A caption goes with its picture's number: the folders between are those of a zero-shot split.
    texts = {path.stem: path for path in sorted(captions.rglob("image_*.txt"))} if captions else {}
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
    for role, official in COUNTS.items():
        found = [record.class_name for record in records if record.split == role]
        warn_of_other_counts(folder / SETS, role, (len(found), len(set(found))), official)
    warn_of_few_captions(records if captions else [])
    return records


def _labels(folder: Path) -> dict[int, int]:
    """Return the class, from 1, by the picture's number, from 1."""
    [labels] = read_mat(folder / LABELS, "labels")
    return {number: int(label) for number, label in enumerate(labels, start=1)}


def _split(folder: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for role, numbers in zip(PARTS.values(), read_mat(folder / SETS, *PARTS), strict=True):
        for number in map(int, numbers):
            if number in found:
                raise UserError(f"{folder / SETS}: picture {number} is in two of {', '.join(PARTS)}")
            found[number] = role
    return found


def _file_name(number: int) -> str:
    return f"image_{number:05d}.jpg"
