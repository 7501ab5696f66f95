"""A folder of the user's own, used where it is: what it held is recorded, not copied.

`data/raw/<name>/source.json` stands for the folder in the pipeline: it changes when a file comes, goes or
changes its size, and `prepare` refuses a folder that no longer is what `download` saw.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from fieldmark.errors import UserError
from fieldmark.files import atomic_folder, write_json

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
        raise UserError(f"{folder} has changed since `download` listed it; run `download` again")


def _listing(folder: Path, files: Iterable[Path]) -> dict[str, str | int]:
    digest = hashlib.sha256()
    count = 0
    for file in files:
        digest.update(f"{file.as_posix()}\0{file.stat().st_size}\n".encode(errors="surrogateescape"))
        count += 1
    return {"path": str(folder), "files": count, "listing_sha256": digest.hexdigest()}
