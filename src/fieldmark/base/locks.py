"""One run at a time of what writes to the same files."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from fieldmark.base.errors import UserError

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")  # by which launchers number processes, from 0


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Hold the lock at `path` while `what` runs. Raises UserError that names the process which holds it.

    The system lets go of it however the process ends, and processes forked from it do not hold it. Those that a
    launcher starts beside the first one need none.
    """
    if any(os.environ.get(rank, "0") != "0" for rank in RANKS):
        yield
        return
    stream = _locked(path, what)
    try:
        with suppress(OSError):  # a disk that is full keeps the name out, not the lock
            os.write(stream.fileno(), _own_name().encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: who waits for it there finds a new file
        stream.close()


def _locked(path: Path, what: str) -> TextIOWrapper:
    """Open and lock the file that lies at `path`, also where another process deletes it meanwhile."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            stream.seek(0)
            holder = stream.read().strip() or "another process"
            stream.close()
            raise UserError(
                f"{what} already runs here ({holder}); wait for its end, or stop it first"
            ) from None
        if path.exists() and os.path.samestat(path.stat(), os.fstat(stream.fileno())):
            stream.truncate(0)
            return stream
        stream.close()


def _own_name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
