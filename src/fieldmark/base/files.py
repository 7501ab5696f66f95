"""Writing files so that none is ever half-written: they get a temporary name first and are then renamed.

What a killed process has left under a temporary name is deleted when the same is written again.
"""

import errno
import glob
import hashlib
import json
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fieldmark.base.errors import UserError

SIGNIFICANT_DIGITS = 6
LFS_POINTER = b"version https://git-lfs"  # how the files begin that Git LFS leaves in place of large ones
FULL = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
)  # no room: on the disk, in the user's share of it, for this one file
BLOCK, PROBE = bytes(2**16), 2**20  # what tells whether a disk is full, in bytes


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; without an error, it replaces `path` at the end.

    Raises OSError where the disk is full or may not be written to, whatever the writing library raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _delete_left(path.parent, f".{path.stem}.", f".part{path.suffix}")
    temporary = path.with_name(f".{path.stem}.{_here()}{os.getpid()}.part{path.suffix}")
    try:
        with _told_by_system(path):
            yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; without an error, it replaces `path` as a whole at the end.

    Raises OSError where the disk is full or may not be written to, whatever the writing library raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _delete_left(path.parent, f".{path.name}.", ".part")
    temporary = _temporary_folder(path)
    before = temporary.with_name(f"{temporary.name.removesuffix('.part')}.old.part")
    try:
        temporary.chmod(0o755)
        with _told_by_system(path):
            yield temporary
        if path.exists():
            path.replace(before)  # at once: to delete a folder takes time, in which half of it is there
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)


def _temporary_folder(path: Path) -> Path:
    prefix = f".{path.name}.{_here()}{os.getpid()}."
    return Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=path.parent))


def _here() -> str:
    """Return what this machine's temporary names have before the number of the process."""
    return f"{socket.gethostname()}."


def _delete_left(folder: Path, before: str, after: str) -> None:
    """Delete what killed processes of this machine have left under temporary names that begin and end so."""
    before = f"{before}{_here()}"
    for left in folder.glob(f"{glob.escape(before)}*{glob.escape(after)}"):
        process = left.name.removeprefix(before).split(".")[0]
        if process.isdigit() and not _lives(int(process)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


@contextmanager
def _told_by_system(path: Path) -> Iterator[None]:
    """Raise OSError in place of what a library makes of a disk that is full: it is asked to write a little more.

    One that says so without naming a file names `path`.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in errno.errorcode:
            if error.errno in FULL and not error.filename:
                raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
            raise
        try:
            _write_more(path.parent)
        except OSError as cause:
            raise OSError(cause.errno, cause.strerror, str(path)) from error
        raise


def _write_more(folder: Path) -> None:
    """Write a temporary file of a megabyte. Raises OSError where that cannot be done."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", buffering=0) as stream:
        for _ in range(PROBE // len(BLOCK)):
            if stream.write(BLOCK) < len(BLOCK):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, exact: bool = False) -> None:
    """Write sorted, indented JSON with floats at six significant digits. Raises ValueError on NaN.

    `exact` keeps every digit: for what a model is built from again.
    """
    kept = value if exact else rounded(value)
    write_text(path, json.dumps(kept, indent=2, sort_keys=True, allow_nan=False) + "\n")


def require_fetched(path: Path) -> None:
    """Raise UserError when a file is absent, or when Git LFS has left a pointer in its place."""
    if not path.is_file():
        raise UserError(f"file {path} does not exist")
    with path.open("rb") as stream:
        if stream.read(len(LFS_POINTER)) == LFS_POINTER:
            raise UserError(f"{path} is a pointer of Git LFS, not the file; `git lfs pull` fetches it")


def read_json(path: Path) -> Any:
    """Read a JSON file that others may have copied. Raises UserError when it is absent, not fetched, or damaged."""
    require_fetched(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no JSON, or not all of it ({error}); get it again") from None


def rounded(value: Any) -> Any:
    """Round every float in nested dicts and lists to six significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return value


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
