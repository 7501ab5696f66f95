"""`dvc repro` as a process of its own, followed by what each stage took."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fieldmark.base.durations import RECORD, read_durations
from fieldmark.running.durations import duration_table

# For glibc: a network frees its large tensors and asks for them again in the next batch. What goes back to the system
# in between is wiped anew, page by page: up to a quarter of the time as measured. Other systems ignore these.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**30)}


def reproduce(folder: Path, arguments: Sequence[str] = ()) -> int:
    """Run `dvc repro` with `arguments` in `folder`, print what each stage took, and return DVC's exit status.

    The table is printed after a failure or an interrupt as well. It is kept nowhere: reports stay reproducible.
    """
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    with tempfile.TemporaryDirectory() as scratch:
        record, started = Path(scratch) / "durations", time.monotonic()
        status = _finished(
            command, folder, {**KEEP_MEMORY, **os.environ, **_own(folder), RECORD: str(record)}
        )
        table = duration_table(read_durations(record), time.monotonic() - started)
    if table:
        print(f"\n{table}", flush=True)
    return status


def _own(folder: Path) -> dict[str, str]:
    """Return the variables with which the stages run this interpreter and the code of `folder`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"PATH": path, "PYTHONPATH": str(folder.resolve() / "src")}


def _finished(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Run a command to its end. Ctrl-C reaches it as well: it is left to stop by itself, so that it can tidy up."""
    process = subprocess.Popen(command, cwd=folder, env=environment)  # noqa: S603 (a list, no shell)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue
