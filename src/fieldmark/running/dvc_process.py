"""DVC as a process of a run: `python dvc_process.py ARGUMENTS` is `dvc ARGUMENTS`, but for two faults.

Its own files are never half-written (`running/whole_files.py`). It does not outlive the run, and the next run waits for
it (`running/orphans.py`).
"""

import os
import signal
import sys
from pathlib import Path
from types import TracebackType

RUN = os.getppid()


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say nothing of an interrupt among the imports, which take a second: the run says it."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _say
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the code of the run, whatever the stages use

from dvc.cli import main  # noqa: E402

from fieldmark.running.orphans import known_to_next_run, stop_with  # noqa: E402
from fieldmark.running.whole_files import whole_files  # noqa: E402

if __name__ == "__main__":
    stop_with(RUN)
    with known_to_next_run(Path()), whole_files():
        status = main(sys.argv[1:])
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # what is left is to end: an interrupt would print a traceback
    sys.exit(status)
