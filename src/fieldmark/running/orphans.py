"""What a run that was killed has left running: it is asked to stop, and the next run waits for its end.

A killed run cannot stop the stages that it has started. They would write to what the next run reads, and DVC would
take their outputs for those of the parameters and of the code that lie there when they end.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSIDE = Path(".dvc")
LOCK = (
    INSIDE / "tmp/running.lock"
)  # shared by each DVC that a run has started; it stays, for it is DVC's own folder
SECONDS = 0.5  # between two looks at whether the run still lives


@contextmanager
def known_to_next_run(folder: Path) -> Iterator[None]:
    """Have runs in `folder` that begin meanwhile wait for the end of this process; processes forked from it do not."""
    if not (folder / INSIDE).is_dir():  # DVC says so
        yield
        return
    (folder / LOCK).parent.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as stream:
        fcntl.lockf(stream, fcntl.LOCK_SH)
        yield


def wait_for_orphans(folder: Path) -> None:
    """Wait for the end of what an earlier run has left in `folder`, and say so; who calls is the only run there."""
    if not (folder / LOCK).exists():
        return
    with (folder / LOCK).open("a+") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            print(
                "Waiting for the end of what a killed run has left running here.", file=sys.stderr, flush=True
            )
            fcntl.lockf(stream, fcntl.LOCK_EX)


def stop_with(parent: int) -> None:
    """Interrupt this process's group, as Ctrl-C does, once `parent` is no longer the parent of this process."""
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS)
    os.killpg(0, signal.SIGINT)
