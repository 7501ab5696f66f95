"""DVC as a process of a run: `python dvc_process.py ARGUMENTS` is `dvc ARGUMENTS`, but for two faults.

DVC's own files are never half-written. To save a stage, DVC empties dvc.lock and writes all of it anew, which takes
most of a second for a hundred stages. An interrupt at that moment, or a full disk, would lose what is known of all
earlier results; for the list of what is in use (.dvc/tmp/rwlock) it would stop the next run.

It does not outlive the run, and the next run waits for it (`running/orphans.py`).
"""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any

RUN = os.getppid()


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing of an interrupt among the imports, which take a second: the run says it."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _say
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the code of the run, whatever the stages use

from dvc.cli import main  # noqa: E402
from dvc.fs import LocalFileSystem  # noqa: E402

from fieldmark.base.files import atomic_path  # noqa: E402
from fieldmark.running.orphans import known_to_next_run, stop_with  # noqa: E402

WRITING = ("w", "w+")  # as text; DVC writes nothing else this way
usual_open = LocalFileSystem.open


def open_whole(
    files: LocalFileSystem, path: str, mode: str = "r", **others: Any
) -> AbstractContextManager[IO[Any]]:
    """Open a file as DVC does; one that is written anew replaces the old one when it is closed without an error."""
    if mode in WRITING:
        return _replaced(Path(path), mode, **others)
    opened: IO[Any] = usual_open(files, path, mode, **others)
    return opened


@contextmanager
def _replaced(path: Path, mode: str, **others: Any) -> Iterator[IO[Any]]:
    with atomic_path(path) as temporary, temporary.open(mode, **others) as stream:
        yield stream


if __name__ == "__main__":
    LocalFileSystem.open = open_whole
    stop_with(RUN)
    with known_to_next_run(Path()):
        sys.exit(main(sys.argv[1:]))
