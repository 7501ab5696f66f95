"""Retrieval-SfM-120k (Radenovic et al. 2018, arXiv 1711.02512): photographs of landmarks, by their 3-D models.

Photographs of one model may show different sides of it. Which two show the same was found by the points that they
share: the published lists give, for each query, photographs that do. From Flickr, for research.
"""

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, read_json, write_json
from fieldmark.datasets.acquire.archives import unpack
from fieldmark.datasets.acquire.download import download, download_folder
from fieldmark.datasets.acquire.listing import (
    beside,
    check_listing,
    existing_folder,
    few,
    official_layout,
    require_pictures,
    write_listing,
)
from fieldmark.datasets.acquire.official import OfficialParams
from fieldmark.datasets.acquire.pickles import read_pickle
from fieldmark.datasets.acquire.records import LeftOut, Record

URL = "http://cmp.felk.cvut.cz/cnnimageretrieval/data/train"
FOLDER = "retrieval-SfM-120k"
LISTS, ARCHIVE, PICTURES = f"{FOLDER}.pkl", "ims.tar.gz", "ims"
TUPLES, LISTING = "tuples.json", "listing"
KEYS = ("cids", "cluster", "qidxs", "pidxs")
PARTS = {"train": "train", "val": "test"}  # of the lists, with their role here
MODELS = {"train": 551, "val": 162}  # 3-D models, as the paper counts them
log = logging.getLogger(__name__)
Part = dict[str, list[Any]]


class Sfm120kParams(OfficialParams):
    """`path` is the folder with retrieval-SfM-120k.pkl and ims, or its parent; None downloads (tens of GB)."""


class Sfm120k:
    """The training models are for training, the validation models for the test; a class is a 3-D model.

    The attribute `positives` of a query has the ids of the photographs that show the same as it, parted by blanks.
    """

    Params = Sfm120kParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}

    def __init__(self, params: Sfm120kParams) -> None:
        self.params = params
        self._left_out: list[LeftOut] = []

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing; turn the lists into JSON."""
        with atomic_folder(destination) as folder:
            place = self._downloaded(download_folder(destination), folder) or self._given()
            parts = _checked(read_pickle(place / LISTS), place / LISTS)
            _warn_of_other_models(parts, place / LISTS)
            write_json(folder / TUPLES, parts, exact=True)
            files = _files(parts, place)
            if self.params.path is not None:
                write_listing(place, files, folder / LISTING)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the photographs in the order of the published lists, those for training first."""
        place = raw if self.params.path is None else self._given()
        parts = _checked(read_json(raw / TUPLES), raw / TUPLES)
        files = _files(parts, place)
        if self.params.path is not None:
            check_listing(place, files, raw / LISTING)
        self._left_out = beside([place / PICTURES], files)
        return iter(_records(parts, place))

    def left_out(self) -> Sequence[LeftOut]:
        """Return the files beside the photographs that the lists name; call `records` first."""
        return self._left_out

    def _given(self) -> Path:
        folder = existing_folder(str(self.params.path), "sfm120k.path")
        return official_layout(folder, FOLDER, (LISTS, PICTURES), "Retrieval-SfM-120k")

    def _downloaded(self, downloads: Path, folder: Path) -> Path | None:
        """Put lists and photographs into `folder`; return None where the user has them."""
        if self.params.path is not None:
            return None
        download(f"{URL}/dbs/{LISTS}", downloads / LISTS)
        _checked(read_pickle(downloads / LISTS), downloads / LISTS)  # before the large file
        shutil.copy(downloads / LISTS, folder / LISTS)
        download(f"{URL}/ims/{ARCHIVE}", downloads / ARCHIVE)
        unpack(downloads / ARCHIVE, folder / PICTURES)
        return folder


SOURCE = Sfm120k


def _warn_of_other_models(parts: Mapping[str, Part], path: Path) -> None:
    """Log where the lists have another number of 3-D models than the published ones."""
    for part, published in MODELS.items():
        if (models := len(set(parts[part]["cluster"]))) != published:
            log.warning(
                "%s: %d 3-D models for %s, the published list has %d; results cannot be compared with published ones",
                *(path, models, part, published),
            )


def _files(parts: Mapping[str, Part], place: Path) -> list[Path]:
    """Return the lists and every photograph. Raises UserError for one that is absent."""
    names = dict.fromkeys(name for part in parts.values() for name in part["cids"])
    return [
        place / LISTS,
        *require_pictures(place, place / PICTURES, list(map(_place, names)), LISTS),
    ]


def _place(name: str) -> str:
    """Return where the photograph of a name lies: in three folders after the ends of its name."""
    return f"{name[-2:]}/{name[-4:-2]}/{name[-6:-4]}/{name}"


def _records(parts: Mapping[str, Part], place: Path) -> list[Record]:
    records = []
    for part, role in PARTS.items():
        names, clusters = parts[part]["cids"], parts[part]["cluster"]
        positives: dict[int, list[str]] = {}
        for query, positive in zip(parts[part]["qidxs"], parts[part]["pidxs"], strict=True):
            positives.setdefault(int(query), []).append(names[int(positive)])
        for index, (name, cluster) in enumerate(zip(names, clusters, strict=True)):
            records.append(
                Record(
                    id=name,
                    image=place / PICTURES / _place(name),
                    class_name=f"{part}/{int(cluster):04d}",
                    split=role,
                    attributes={"positives": " ".join(positives[index])} if index in positives else {},
                )
            )
    return records


def _checked(content: Any, path: Path) -> dict[str, Part]:
    """Return the two parts of the lists. Raises UserError for what is not as published."""
    if not (isinstance(content, dict) and all(isinstance(content.get(part), dict) for part in PARTS)):
        raise UserError(f"{path} should hold the parts train and val; it is not the published file")
    parts = {part: _part(content[part], f"{path}: {part}") for part in PARTS}
    counts = Counter(name for part in parts.values() for name in part["cids"])
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise UserError(f"{path} names {len(twice)} photographs twice: {few(twice)}; copy it again")
    return parts


def _part(content: Mapping[str, Any], where: str) -> Part:
    lists = {key: content.get(key) for key in KEYS}
    if not all(isinstance(value, list) and value for value in lists.values()):
        raise UserError(f"{where} should hold the lists {', '.join(KEYS)}; copy the file again")
    part: Part = {key: list(value or []) for key, value in lists.items()}
    names = part["cids"]
    wrong = [name for name in names if not _is_name(name)]
    if wrong:
        raise UserError(f"{where}.cids holds {few(wrong)}, which cannot be the name of a photograph")
    for first, second in (("cids", "cluster"), ("qidxs", "pidxs")):
        if len(part[first]) != len(part[second]):
            raise UserError(f"{where}: {first} and {second} differ in length; copy the file again")
    for key, below in (("cluster", 10**9), ("qidxs", len(names)), ("pidxs", len(names))):
        if not all(_is_index(number, below) for number in part[key]):
            raise UserError(f"{where}.{key} should hold whole numbers below {below}; copy the file again")
    return part


def _is_name(name: Any) -> bool:
    """Say whether a name has the six characters that its folders are called after, and none that lead elsewhere."""
    return isinstance(name, str) and len(name) >= 6 and name.isprintable() and not set(name) & set("/\\ .")


def _is_index(number: Any, below: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < below
