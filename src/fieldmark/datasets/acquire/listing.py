"""A folder of the user's own, used where it is: what it held is recorded, not copied.

`data/raw/<name>/source.json` stands for the folder in the pipeline: it changes when a file comes, goes or
changes its size, and `prepare` refuses a folder that no longer is what `download` saw.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, write_json

FILE = "source.json"
PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".avif", ".jp2", ".tga", ".ico"),
)


def is_picture(path: Path) -> bool:
    """Say whether a relative path is that of a picture; what is hidden (`._x.jpg` of macOS) is none."""
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in PICTURE_SUFFIXES and not hidden


def existing_folder(path: str, parameter: str) -> Path:
    """Return the folder that `parameter` names. Raises UserError when it is none."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise UserError(f"{parameter}: there is no folder {folder}")
    return folder


def official_layout(outer: Path, inner: str, needed: Sequence[str], title: str) -> Path:
    """Return `outer`, or `outer/inner` where the first of `needed` lies there.

    Raises UserError when one of `needed` (files or folders) is missing.
    """
    folder = outer / inner if (outer / inner / needed[0]).exists() else outer
    for name in needed:
        if not (folder / name).exists():
            raise UserError(f"{folder} is not {title} in its official layout: {name} is missing")
    return folder


def require_pictures(folder: Path, base: Path, places: Sequence[str], named_by: str) -> list[Path]:
    """Return the files at `places` under `base`, a folder in `folder`. Raises UserError for what is amiss.

    That is a place outside `base`, one that comes twice, or one where no file is.
    """
    outside = [place for place in places if PurePosixPath(place).is_absolute() or ".." in place.split("/")]
    if outside:
        raise UserError(f"{named_by} in {folder} names pictures outside it: {few(outside)}")
    twice = [place for place, count in Counter(places).items() if count > 1]
    if twice:
        raise UserError(f"{named_by} in {folder} names {len(twice)} pictures twice: {few(twice)}")
    absent = [str((base / place).relative_to(folder)) for place in places if not (base / place).is_file()]
    if absent:
        raise UserError(f"{folder}: {len(absent)} pictures of {named_by} are missing: {few(absent)}")
    return [base / place for place in places]


def few(names: Sequence[object]) -> str:
    """Return the first three names, as a message gives them."""
    return ", ".join(map(str, names[:3])) + (", ..." if len(names) > 3 else "")


def write_listing(folder: Path, files: Sequence[Path], destination: Path) -> None:
    """Record the path of `folder` and its `files` (absolute paths in or beside it) in `destination`."""
    with atomic_folder(destination) as temporary:
        write_json(temporary / FILE, _listing(folder, files))


def check_listing(folder: Path, files: Sequence[Path], raw: Path) -> None:
    """Raise UserError when the folder is no longer what the listing in `raw` says."""
    path = raw / FILE
    if not path.exists():
        raise UserError(f"{path} does not exist; run `download` first")
    if json.loads(path.read_text(encoding="utf-8")) != _listing(folder, files):
        again = f"dvc repro --force --single-item download@{raw.name}"
        raise UserError(f"{folder} has changed since it was listed; run `{again}`, then `make repro`")


def _listing(folder: Path, files: Iterable[Path]) -> dict[str, str | int]:
    digest = hashlib.sha256()
    count = 0
    for file in files:
        digest.update(f"{file.as_posix()}\0{file.stat().st_size}\n".encode(errors="surrogateescape"))
        count += 1
    return {"path": str(folder), "files": count, "listing_sha256": digest.hexdigest()}
