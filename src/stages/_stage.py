"""What all stage scripts have in common: one argument, the parameters, one-line errors."""

import argparse
import gc
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType, TracebackType

INTERRUPTED = "interrupted; run the same command again to go on"
gc.disable()  # what is imported stays: to search it for garbage, over and over, takes a fifth of the start
STARTED = time.monotonic()  # before our own imports, for they take seconds


def _say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say of an interrupt in one line what `guarded` says later: before that, imports take their seconds."""
    if issubclass(kind, KeyboardInterrupt):
        print(INTERRUPTED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _say
SOURCES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCES))  # a copy of the scripts uses the code that was copied with them
try:
    from fieldmark.base.durations import recorded
    from fieldmark.base.errors import UserError
    from fieldmark.base.files import FULL
    from fieldmark.base.locks import alone
    from fieldmark.configuration.configuration import Configuration
except ModuleNotFoundError as absent:
    sys.exit(
        f"error: {absent.name} is not installed for {sys.executable}; "
        "run `source .venv/bin/activate` first, or `make repro`, which makes .venv"
    )

PARAMS = Path("params.yaml")
LOCKS = Path(".resume")  # one for each stage that runs, and one for all of them: `make repro`
LOST_WORKER = "DataLoader worker"  # in torch's message, which comes at any place, from a signal's handler
AFTER_WORKER = (
    "run the same command again to go on, with a lower runtime.workers where the system was out of memory"
)


def run(stage: Callable[[str, Configuration], None], description: str, name_help: str) -> None:
    """Parse `name`, read `params.yaml` and call `stage(name, configuration)`; a UserError becomes one line.

    A second run of the same stage in the same folder is refused.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("name", help=name_help)
    name, kind = parser.parse_args().name, Path(sys.argv[0]).stem

    def action() -> None:
        configuration = Configuration.read(PARAMS)
        with alone(LOCKS / f"{kind}@{name.replace('/', '-')}.lock", f"{kind}@{name}"):
            stage(name, configuration)

    guarded(action)


def only_run(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of the pipeline in `folder`. Raises UserError where another process runs it."""
    return alone(folder / LOCKS / "repro.lock", f"the pipeline in {folder.resolve()}")


def guarded(action: Callable[[], None]) -> None:
    """Run `action`; print a mistake of the user as one line and exit with status 1.

    In a run that times its stages, a line about this one is added to the record.
    """
    gc.freeze()  # nor is it searched later
    gc.enable()
    signal.signal(signal.SIGTERM, _stop)
    # A process that is forked ends at once, without a message: a handler might never run while it waits for a lock.
    # SIGTERM waits until the child has the system's handler; ours would take it and do nothing.
    os.register_at_fork(before=_hold_sigterm, after_in_parent=_let_sigterm, after_in_child=_end_at_once)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with recorded(STARTED):
            action()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {_of_the_system(error)}")
    except RuntimeError as error:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would raise the same once more
        if LOST_WORKER not in str(error):
            raise
        for child in multiprocessing.active_children():
            child.kill()  # it may wait for ever for what the dead one held, and lets no other signal end it
        sys.exit(f"error: a loader process has died ({_first_line(error)}); {AFTER_WORKER}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except _Terminated:
        print("stopped by SIGTERM; run the same command again to go on", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)


def _of_the_system(error: OSError) -> str:
    """Say what the system refuses, with the file that it names, and what to do."""
    file = f" ({error.filename})" if error.filename else ""
    if error.errno not in FULL:
        return f"{error.strerror or error}{file}; mend that and run the same command again"
    why = os.strerror(error.errno)
    return f"there is no room to write{file}: {why}; make room and run the same command again to go on"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(" .")


class _Terminated(BaseException):
    """The system wants this process to end, as that of a preempted job."""


def _stop(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM: end in order."""
    raise _Terminated


def _hold_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_at_once() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_sigterm()
