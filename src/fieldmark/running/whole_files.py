"""DVC's own files are never half-written.

To save a stage, DVC empties dvc.lock and writes all of it anew, which takes most of a second for a hundred stages. An
interrupt at that moment, a kill, or a full disk, would lose what is known of all earlier results; for the list of what
is in use (.dvc/tmp/rwlock), which it writes even to look at a stage, it would stop the next run.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from dvc.fs import LocalFileSystem

from fieldmark.base.files import atomic_path

WRITING = ("w", "w+")  # as text; DVC writes nothing else this way


@contextmanager
def whole_files() -> Iterator[None]:
    """Have DVC in this process replace its files as a whole: a file that is written anew when it is closed."""
    usual = LocalFileSystem.open

    def opened(
        files: LocalFileSystem, path: str, mode: str = "r", **others: Any
    ) -> AbstractContextManager[IO[Any]]:
        if mode in WRITING:
            return _replaced(Path(path), mode, **others)
        stream: IO[Any] = usual(files, path, mode, **others)
        return stream

    LocalFileSystem.open = opened
    try:
        yield
    finally:
        LocalFileSystem.open = usual


@contextmanager
def _replaced(path: Path, mode: str, **others: Any) -> Iterator[IO[Any]]:
    with atomic_path(path) as temporary, temporary.open(mode, **others) as stream:
        yield stream
