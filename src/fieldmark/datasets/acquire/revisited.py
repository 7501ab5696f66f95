"""The revisited Oxford and Paris benchmarks (F. Radenovic et al., CVPR 2018, arXiv 1803.11285).

A query is a box in a photograph that is not in the database. For each query the published ground truth lists which
photographs of the database show the same building: easily to be recognised, hardly so, or so little that they count
neither for nor against (junk). It comes as a pickle, which is read once and kept as JSON.
"""

import logging
import math
import shutil
from abc import ABC
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
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
    is_picture,
    official_layout,
    write_listing,
)
from fieldmark.datasets.acquire.official import OfficialParams
from fieldmark.datasets.acquire.pickles import read_pickle
from fieldmark.datasets.acquire.records import LeftOut, Record
from fieldmark.datasets.acquire.walking import walk

TRUTH_URL = "http://cmp.felk.cvut.cz/revisitop/data/datasets"
TRUTH, LISTING, PICTURES = "ground_truth.json", "listing", "jpg"
KINDS = ("easy", "hard", "junk")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
    """A query: the name of its photograph, the corners of its box, and names of the database by kind."""

    name: str
    corners: tuple[float, float, float, float]
    relevant: Mapping[str, Sequence[str]]

    def record(self, number: int, image: Path) -> Record:
        """Return it as a record, whose attributes list the names of each kind, parted by blanks."""
        left, top, right, bottom = self.corners
        lists = {kind: " ".join(names) for kind, names in self.relevant.items()}
        return Record(
            id=f"query/{number:02d}/{self.name}",
            image=image,
            class_name=None,
            split="query",
            box=(left, top, right - left, bottom - top),
            attributes=lists,
        )


@dataclass(frozen=True)
class Truth:
    """The ground truth of a benchmark: the names of its database, and its queries."""

    database: Sequence[str]
    queries: Sequence[Query]


class Revisited(ABC):
    """One of the two benchmarks. Queries come first, with their boxes; the others are the database (gallery).

    `archives` are the addresses of the photographs with their sizes in bytes, where known. No checksum is published:
    the SHA-256 of the first download is kept and compared. `counts` are those of the published queries and database.
    """

    Params = OfficialParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}
    name: ClassVar[str]
    title: ClassVar[str]
    archives: ClassVar[Mapping[str, int | None]]
    counts: ClassVar[tuple[int, int]]

    def __init__(self, params: OfficialParams) -> None:
        self.params = params
        self._left_out: list[LeftOut] = []

    def fetch(self, destination: Path) -> None:
        """Download and unpack, or check the named folder and record its listing; turn the pickle into JSON."""
        with atomic_folder(destination) as folder:
            place = self._downloaded(download_folder(destination), folder) or self._given()
            truth = read_pickle(place / self._pickle)
            self._warn(read_truth(truth, place / self._pickle))
            write_json(folder / TRUTH, truth, exact=True)
            if self.params.path is not None:
                write_listing(place, self._files(place, folder), folder / LISTING)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the queries, then the database, in the order of the ground truth."""
        place = raw if self.params.path is None else self._given()
        truth = read_truth(read_json(raw / TRUTH), raw / TRUTH)
        files = self._files(place, raw)
        if self.params.path is not None:
            check_listing(place, files, raw / LISTING)
        images = dict(zip(_names(truth), files[1:], strict=True))
        self._left_out = beside([place / PICTURES], files)
        yield from [query.record(number, images[query.name]) for number, query in enumerate(truth.queries)]
        yield from [Record(name, images[name], None, split="gallery") for name in truth.database]

    def left_out(self) -> Sequence[LeftOut]:
        """Return the files beside the photographs that the ground truth names; call `records` first."""
        return self._left_out

    @property
    def _pickle(self) -> str:
        return f"gnd_{self.name}.pkl"

    def _given(self) -> Path:
        folder = existing_folder(str(self.params.path), f"{self.name}.path")
        return official_layout(folder, self.name, (self._pickle, PICTURES), self.title)

    def _downloaded(self, downloads: Path, folder: Path) -> Path | None:
        """Put pickle and photographs into `folder`; return None where the user has them."""
        if self.params.path is not None:
            return None
        download(f"{TRUTH_URL}/{self.name}/{self._pickle}", downloads / self._pickle)
        read_truth(read_pickle(downloads / self._pickle), downloads / self._pickle)  # before the large files
        shutil.copy(downloads / self._pickle, folder / self._pickle)
        for url, size in self.archives.items():
            archive = downloads / url.rpartition("/")[2]
            download(url, archive, size=size)
            unpack(archive, folder / PICTURES / archive.stem)
        return folder

    def _files(self, place: Path, raw: Path) -> list[Path]:
        """Return the pickle and the photograph of every name. Raises UserError for one that is absent or twice."""
        truth = read_truth(read_json(raw / TRUTH), raw / TRUTH)
        found: dict[str, list[Path]] = {}
        for path in filter(is_picture, walk(place / PICTURES)):
            found.setdefault(path.stem, []).append(place / PICTURES / path)
        names = _names(truth)
        absent = [name for name in names if name not in found]
        if absent:
            raise UserError(
                f"{place / PICTURES}: {len(absent)} photographs of {self._pickle} are missing: {few(absent)}"
            )
        twice = [name for name in names if len(found[name]) > 1]
        if twice:
            raise UserError(f"{place / PICTURES} holds several photographs called {few(twice)}; keep one")
        return [place / self._pickle, *(found[name][0] for name in names)]

    def _warn(self, truth: Truth) -> None:
        """Log where the ground truth has other counts than the published one."""
        counts = len(truth.queries), len(truth.database)
        if counts != self.counts:
            log.warning(
                "%s: %d queries and %d photographs, the published benchmark has %d and %d; results cannot be compared "
                "with published ones",
                *(self.name, *counts, *self.counts),
            )


def _names(truth: Truth) -> list[str]:
    """Return the name of every photograph once, those of the queries first."""
    return list(dict.fromkeys([*(query.name for query in truth.queries), *truth.database]))


def read_truth(content: Any, path: Path) -> Truth:
    """Return the ground truth that `path` holds. Raises UserError, naming the query, for what is not as published."""
    if not isinstance(content, dict) or not {"imlist", "qimlist", "gnd"} <= content.keys():
        raise UserError(f"{path} should hold imlist, qimlist and gnd; it is not the published ground truth")
    database, names = (_name_list(content[key], key, path) for key in ("imlist", "qimlist"))
    entries = content["gnd"]
    if not isinstance(entries, list) or len(entries) != len(names) or not names:
        raise UserError(
            f"{path}: gnd should have an entry for each of the {len(names)} queries; copy it again"
        )
    twice = [name for name, count in Counter(database).items() if count > 1]
    if twice:
        raise UserError(f"{path}: imlist names {few(twice)} twice; copy it again")
    queries = [
        _query(name, entry, database, f"{path}: query {number} ({name})")
        for number, (name, entry) in enumerate(zip(names, entries, strict=True))
    ]
    return Truth(database, queries)


def _name_list(value: Any, key: str, path: Path) -> list[str]:
    """Return a list of names, each that of a file without its ending."""
    if not (isinstance(value, list) and value and all(isinstance(name, str) for name in value)):
        raise UserError(f"{path}: {key} should be a list of names; copy the file again")
    wrong = [name for name in value if not name or not name.isprintable() or set(name) & set("/\\ ")]
    if wrong:
        raise UserError(f"{path}: {key} holds {few(wrong)}, which cannot be the name of a photograph")
    return value


def _query(name: str, entry: Any, database: Sequence[str], where: str) -> Query:
    if not isinstance(entry, dict) or not {"bbx", *KINDS} <= entry.keys():
        raise UserError(f"{where} should have bbx, easy, hard and junk; copy the file again")
    relevant = {kind: _listed(entry[kind], kind, database, where) for kind in KINDS}
    several = [key for key, count in Counter(chain.from_iterable(relevant.values())).items() if count > 1]
    if several:
        raise UserError(f"{where} lists {few(several)} twice; copy the file again")
    return Query(name, _corners(entry["bbx"], where), relevant)


def _corners(value: Any, where: str) -> tuple[float, float, float, float]:
    numbers = [
        float(number)
        for number in (value if isinstance(value, list) else [])
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e6
    ]
    if (
        len(numbers) != 4
        or not isinstance(value, list)
        or len(value) != 4
        or not all(map(math.isfinite, numbers))
    ):
        raise UserError(f"{where}: bbx should be four numbers; copy the file again")
    left, top, right, bottom = numbers
    if right <= left or bottom <= top:
        raise UserError(f"{where}: bbx has no area; copy the file again")
    return left, top, right, bottom


def _listed(value: Any, kind: str, database: Sequence[str], where: str) -> list[str]:
    """Return the names at the indices of a list; an index may be a float, as in empty arrays of NumPy it is."""
    valid = isinstance(value, list) and all(
        isinstance(index, int | float)
        and not isinstance(index, bool)
        and 0 <= index < len(database)
        and index % 1 == 0
        for index in value
    )
    if not valid:
        raise UserError(f"{where}: {kind} should hold indices below {len(database)}; copy the file again")
    return [database[int(index)] for index in value]
