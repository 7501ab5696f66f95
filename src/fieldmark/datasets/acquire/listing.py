"""A folder that belongs to the user and is read where it lies: what it holds is recorded, not copied.

`data/raw/<name>/source.json` stands for the folder in the pipeline: it changes when a file is added, removed or
changes its size, and `prepare` refuses a folder that is no longer what `download` saw.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, write_json
from fieldmark.datasets.acquire.records import LeftOut
from fieldmark.datasets.acquire.walking import inner_folders, is_file, walk

FILE = "source.json"
PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".avif", ".jp2", ".tga", ".ico"),
)

LONGEST = 200  # characters of a name in a message
NO_PICTURE, NOT_NAMED = "no picture by its ending", "no list names it"  # why a file is left out


def is_picture(path: Path) -> bool:
    """Say whether a relative path is that of a picture, by its ending."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def existing_folder(path: str, parameter: str) -> Path:
    """Return the folder at `path`. Raises UserError, with the name of the parameter, when there is none."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UserError(f"{parameter}: there is no folder {folder}")
    return folder


def official_layout(outer: Path, inner: str, needed: Sequence[str], title: str) -> Path:
    """Return `outer`, `outer/inner`, or the folder up to two levels below where the first of `needed` lies.

    Mirrors ship data sets a folder or two deeper. Raises UserError when one of `needed` (files or folders) is missing.
    """
    below = (
        folder for folder in (outer / inner, outer, *folders_below(outer)) if (folder / needed[0]).exists()
    )
    folder = next(below, outer)
    for name in needed:
        if not (folder / name).exists():
            raise UserError(f"{folder} is not {title} in its official layout: {name} is missing")
    return folder


def folders_below(outer: Path) -> list[Path]:
    """Return the folders in `outer` and those in them, the upper ones first."""
    first = [outer / name for name in inner_folders(outer)]
    return first + [folder / name for folder in first for name in inner_folders(folder)]


def require_pictures(folder: Path, base: Path, relative_paths: Sequence[str], named_by: str) -> list[Path]:
    """Return the files at `relative_paths` under `base`, which is a folder in `folder`.

    `named_by` is what names them, for messages. Raises UserError for a path that leads out of `base`, a path that
    comes twice, and a path where there is no file.
    """
    outside = [
        path for path in relative_paths if PurePosixPath(path).is_absolute() or ".." in path.split("/")
    ]
    if outside:
        raise UserError(f"{named_by} in {folder} names pictures outside it: {few(outside)}")
    twice = [path for path, count in Counter(relative_paths).items() if count > 1]
    if twice:
        raise UserError(f"{named_by} in {folder} names {len(twice)} pictures twice: {few(twice)}")
    absent = [str((base / path).relative_to(folder)) for path in relative_paths if not is_file(base / path)]
    if absent:
        hint = namesake(folder, absent[0])
        raise UserError(f"{folder}: {len(absent)} pictures of {named_by} are missing: {few(absent)}{hint}")
    return [base / path for path in relative_paths]


def namesake(folder: Path, absent: str) -> str:
    """Say, as a clause to append, where a file of the name of an absent one lies in `folder`; nothing without one."""
    name = PurePosixPath(absent.replace("\\", "/")).name.casefold()
    found = next((path for path in walk(folder) if path.name.casefold() == name), None)
    return "" if found is None else f"; a file of that name is {few([found.as_posix()])}"


def beside(folders: Iterable[Path], used: Iterable[Path]) -> list[LeftOut]:
    """Return the files in `folders`, at any depth, that are not among the `used` pictures."""
    known = {str(path) for path in used}
    files = dict.fromkeys(folder / path for folder in folders for path in walk(folder))
    return [
        LeftOut(str(path), NOT_NAMED if is_picture(path) else NO_PICTURE, ending=path.suffix.lower())
        for path in files
        if str(path) not in known
    ]


def few(names: Sequence[object]) -> str:
    """Return the first three names, as a message gives them: in one line, and not without end."""
    return ", ".join(map(_shown, names[:3])) + (", ..." if len(names) > 3 else "")


def _shown(name: object) -> str:
    text = str(name) if str(name).isprintable() else ascii(name)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def write_listing(folder: Path, files: Sequence[Path], destination: Path) -> None:
    """Record the path of `folder` and its `files` (absolute paths in or beside it) in `destination`."""
    with atomic_folder(destination) as temporary:
        write_json(temporary / FILE, _listing(folder, files))


def check_listing(folder: Path, files: Sequence[Path], raw: Path) -> None:
    """Raise UserError when the folder is no longer what the listing in `raw` says."""
    path = raw / FILE
    if not path.exists():
        raise UserError(f"{path} does not exist; run `download` first")
    if _read_listing(path) != _listing(folder, files):
        again = f"dvc repro --force --single-item download@{raw.name}"
        raise UserError(f"{folder} has changed since it was listed; run `{again}`, then `make repro`")


def _read_listing(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None  # it was cut or changed by hand: no folder is like that


def _listing(folder: Path, files: Iterable[Path]) -> dict[str, str | int]:
    digest = hashlib.sha256()
    count = 0
    for file in files:
        digest.update(f"{file.as_posix()}\0{_bytes(file)}\n".encode(errors="surrogateescape"))
        count += 1
    return {"path": str(folder), "files": count, "listing_sha256": digest.hexdigest()}


def _bytes(file: Path) -> int:
    """Return the size of a file in bytes, -1 for a link that leads nowhere or to itself."""
    try:
        return file.stat().st_size
    except OSError:
        return -1
