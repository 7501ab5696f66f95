"""How long each stage of a run took: a stage adds a line to the record of the run, which is read when the run ends."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

RECORD = "FIELDMARK_DURATIONS"  # the environment variable that names the file; absent outside of a run
STAGE = "DVC_STAGE"  # the one in which DVC names the stage that it runs


class Duration(NamedTuple):
    """Seconds of wall time that a stage took, and whether it came to its end."""

    stage: str
    seconds: float
    done: bool


@contextmanager
def recorded(started: float) -> Iterator[None]:
    """Add a line to the record of the run when the body ends or fails; `started` is when the process began.

    The name of the record is taken out of the environment, so that processes which this one starts add no line. Where
    it cannot be written, as on a full disk, the line is missing: the stage has done what it is for.
    """
    record, stage = os.environ.pop(RECORD, None), os.environ.get(STAGE)
    done = False
    try:
        yield
        done = True
    finally:
        if record and stage:
            with suppress(OSError), Path(record).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(Duration(stage, time.monotonic() - started, done)) + "\n")


def read_durations(record: Path) -> list[Duration]:
    """Return the lines of a record in the order in which the stages ended; none where no stage ran."""
    if not record.exists():
        return []
    return [Duration(*json.loads(line)) for line in record.read_text(encoding="utf-8").splitlines()]
