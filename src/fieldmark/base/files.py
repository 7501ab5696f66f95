"""Writing files so that none is ever half-written: they get a temporary name first and are then renamed."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fieldmark.base.errors import UserError

SIGNIFICANT_DIGITS = 6
LFS_POINTER = b"version https://git-lfs"  # how the files begin that Git LFS leaves in place of large ones


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; without an error, it replaces `path` at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; without an error, it replaces `path` as a whole at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        temporary.chmod(0o755)
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
