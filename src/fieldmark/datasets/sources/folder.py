"""A folder with the user's photographs: one folder per class, or a CSV with path, label or labels, and split."""

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.listing import (
    NO_PICTURE,
    check_listing,
    existing_folder,
    few,
    is_picture,
    namesake,
    write_listing,
)
from fieldmark.datasets.acquire.records import LeftOut, Record
from fieldmark.datasets.acquire.walking import Places, composed, inner_folders, is_file, walk

SEPARATOR = ";"  # between the labels of a picture with several
log = logging.getLogger(__name__)
SPLITS = ("train", "test", "val", "query", "gallery")
BEYOND = "values beyond the last column"


class FolderParams(Block):
    """`path` is the folder. Without `csv`, pictures lie in `<class>/<picture>`.

    `csv` names a file in the folder with the columns path (relative to the folder), label and, if wanted, split
    (train, test, val, query, gallery or empty). For pictures with several labels each, or none, the column labels
    stands in place of label, as in "bench;car". Other columns are ignored, and so are pictures that it does not name.
    """

    path: str
    csv: str | None = None


class Folder:
    """Pictures that are read where they lie; nothing is copied."""

    Params = FolderParams
    promises: ClassVar[Mapping[str, bool]] = {"captions": False, "boxes": False, "masks": False}

    def __init__(self, params: FolderParams) -> None:
        self.params = params

    def fetch(self, destination: Path) -> None:
        """Check the folder and record its listing. Raises UserError for whatever is wrong with it."""
        records = self._read()
        write_listing(self._folder(), self._files(records), destination)

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the pictures in the order of the CSV, or sorted by path."""
        records = self._read()
        check_listing(self._folder(), self._files(records), raw)
        return iter(records)

    def left_out(self) -> Sequence[LeftOut]:
        """Return the files that are no pictures and the empty class folders, or the pictures that the CSV lacks."""
        folder, name = self._folder(), self.params.csv
        return _beside_classes(folder) if name is None else _beside_csv(folder, name)

    def _folder(self) -> Path:
        folder = existing_folder(self.params.path, "folder.path")
        return folder if self.params.csv is not None else _class_folders(folder)

    def _read(self) -> list[Record]:
        folder = self._folder()
        return _from_classes(folder) if self.params.csv is None else _from_csv(folder, self.params.csv)

    def _files(self, records: list[Record]) -> list[Path]:
        listed = [] if self.params.csv is None else [self._folder() / self.params.csv]
        return listed + [record.image for record in records if isinstance(record.image, Path)]


SOURCE = Folder


def _class_folders(folder: Path) -> Path:
    """Return the folder of the class folders: `folder`, or one in it that wraps all, as in an unpacked archive."""
    for _ in range(2):
        inner = inner_folders(folder)
        if len(inner) != 1 or any(map(is_picture, (folder / inner[0]).iterdir())):
            break
        if not inner_folders(folder / inner[0]):
            break
        folder /= inner[0]
    return folder


def _from_classes(folder: Path) -> list[Record]:
    pictures = [path for path in walk(folder) if is_picture(path)]
    if not pictures:
        raise UserError(f"folder.path: {folder} holds no picture; it should hold <class>/<picture>")
    wrong = [picture for picture in pictures if len(picture.parts) != 2]
    if wrong:
        raise UserError(
            f"folder.path: pictures must lie in <class>/<picture>, but {len(wrong)} do not: {few(wrong)}; "
            "put them in class folders, or name a CSV in folder.csv"
        )
    return [
        Record(id=picture.as_posix(), image=folder / picture, class_name=_class_of(picture))
        for picture in pictures
    ]


def _class_of(path: Path) -> str:
    """Return the class of a path in class folders, its first folder, in composed Unicode without blanks around it."""
    return composed(path.parts[0]).strip()


def _beside_classes(folder: Path) -> list[LeftOut]:
    """Return the files that are no pictures, the class folders without a file, and those behind a dead link."""
    files = walk(folder)
    left = []
    for path in files:
        if len(path.parts) == 1 and not (folder / path).exists():
            left.append(LeftOut(path.as_posix(), "a link that leads nowhere", _class_of(path)))
        elif not is_picture(path):
            name = _class_of(path) if len(path.parts) > 1 else None
            left.append(LeftOut(path.as_posix(), NO_PICTURE, name, path.suffix.lower()))
    empty = sorted(set(inner_folders(folder)) - {path.parts[0] for path in files})
    return left + [LeftOut(name, "the folder is empty", _class_of(Path(name))) for name in empty]


def _beside_csv(folder: Path, name: str) -> list[LeftOut]:
    """Return the pictures that the CSV does not name."""
    named = {record.id for record in _from_csv(folder, name)}
    pictures = (path for path in walk(folder) if is_picture(path) and path.as_posix() not in named)
    return [
        LeftOut(path.as_posix(), f"{name} does not name it", ending=path.suffix.lower()) for path in pictures
    ]


def _from_csv(folder: Path, name: str) -> list[Record]:
    path = folder / name
    rows = _read_rows(path)
    places = Places(folder)
    pictures = [places.find(row["path"].strip()) for row in rows.values()]
    _check_paths(pictures, folder, path)
    bare = sum(not (row.get("split") or "").strip() for row in rows.values())
    if 0 < bare < len(rows):
        log.warning("%s: %d of %d rows have no split", path, bare, len(rows))
    unlabelled = sum(not row.get("labels", "x").strip(f" {SEPARATOR}") for row in rows.values())
    if unlabelled:
        log.warning("%s: %d of %d rows have no labels", path, unlabelled, len(rows))
    return [
        Record(
            id=picture,
            image=folder / picture,
            class_name=_label(row, number, path) if "label" in row else None,
            labels=_labels(row),
            split=_split(row, number, path),
        )
        for (number, row), picture in zip(rows.items(), pictures, strict=True)
    ]


def _read_rows(path: Path) -> dict[int, dict[str, str]]:
    """Read the CSV into one dict per row, by the number of its last line; rows without any value are skipped.

    Raises UserError when columns or values are missing.
    """
    rows = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restkey=BEYOND)
            columns = [column.strip().lower() for column in reader.fieldnames or []]
            reader.fieldnames = columns
            for row in reader:
                if any("".join(value or "") for value in row.values()):
                    rows[reader.line_num] = row
    except FileNotFoundError:
        raise UserError(f"folder.csv: there is no file {path}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV in UTF-8: {error}") from None
    _check_columns(columns, path)
    for number, row in rows.items():
        short = [column for column, value in row.items() if value is None]
        if short:
            raise UserError(
                f"{path}: row {number} has no {short[0]}; it has fewer values than the header has columns"
            )
        if BEYOND in row:
            raise UserError(
                f"{path}: row {number} has more values than the header has columns: {few(row[BEYOND])}; "
                'put a value that holds a comma between quotes, as in "Heron, grey"'
            )
    if not rows:
        raise UserError(f"{path} names no picture")
    return rows


def _check_columns(columns: Sequence[str], path: Path) -> None:
    wanted = ("path",) if "labels" in columns else ("path", "label")
    missing = [column for column in wanted if column not in columns]
    if missing:
        hint = "; put commas between the columns" if set(";\t") & set("".join(columns)) else ""
        raise UserError(
            f"{path} has no column '{missing[0]}'; its columns are {few(columns) or 'none'}{hint}"
        )
    twice = [column for column, count in Counter(columns).items() if column and count > 1]
    if twice:
        raise UserError(f"{path} has the column '{twice[0][:60]}' twice; keep the one that is meant")
    if {"label", "labels"} <= set(columns):
        raise UserError(f"{path} has the columns 'label' and 'labels'; keep the one that says what to learn")


def _check_paths(pictures: list[str], folder: Path, path: Path) -> None:
    outside = [picture for picture in pictures if picture.startswith(("/", "..")) or picture == "."]
    if outside:
        raise UserError(f"{path}: paths must be relative to {folder} and inside it, not {few(outside)}")
    twice = [picture for picture, count in Counter(pictures).items() if count > 1]
    if twice:
        raise UserError(f"{path} names {len(twice)} pictures more than once: {few(twice)}")
    absent = [picture for picture in pictures if not is_file(folder / picture)]
    if absent:
        hint = namesake(folder, absent[0])
        raise UserError(
            f"{path} names {len(absent)} files that do not exist in {folder}: {few(absent)}{hint}"
        )


def _label(row: dict[str, str], number: int, path: Path) -> str:
    label = composed(row["label"]).strip()
    if not label:
        raise UserError(f"{path}: row {number} has no label")
    return label


def _labels(row: dict[str, str]) -> tuple[str, ...]:
    """Return the distinct labels of a picture with several, sorted."""
    names = (composed(name).strip() for name in row.get("labels", "").split(SEPARATOR))
    return tuple(sorted({name for name in names if name}))


def _split(row: dict[str, str], number: int, path: Path) -> str | None:
    split = (row.get("split") or "").strip().lower()
    if split and split not in SPLITS:
        raise UserError(
            f"{path}: row {number} has the split {split[:60]!r}; it may be {', '.join(SPLITS)} or empty"
        )
    return split or None
