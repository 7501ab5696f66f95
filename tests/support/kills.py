"""Kills one stage again and again: `kills.py STAGE MOMENT...`, in a folder to run stages in.

A moment is a fraction of what an undisturbed run takes, which is made first: so kills come in all parts of it.
Every try is a process forked from this one, which has imported what stages import: that takes seconds each time. A
try that ends before its moment is followed by one more. Prints how many of the tries were killed in which state.
"""

import importlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def main(stage: str, moments: list[float]) -> None:
    sys.path.insert(0, "src/stages")
    kind, _, item = stage.partition("@")
    runner: Any = importlib.import_module("_stage")
    script: Any = importlib.import_module(kind)
    importlib.import_module("lightning_fabric")
    importlib.import_module("dvclive.live")
    importlib.import_module("timm")
    with_state = ended = 0
    sys.argv = [f"src/stages/{kind}.py", item]
    started = time.monotonic()
    killed(runner, script, None)
    whole = time.monotonic() - started
    for moment in moments:
        while not killed(runner, script, moment * whole):
            ended, whole = ended + 1, 0.8 * whole  # other work made the first one slow
        with_state += bool(list(Path(".resume").rglob("state.pt")))
    print(f"killed {len(moments)} with_state {with_state} ended {ended}")


def killed(runner: Any, script: Any, moment: float | None) -> bool:
    """Start the stage, kill it after so many seconds (None: never), and tell whether the kill met it alive."""
    child = os.fork()
    if not child:
        code = 1
        try:
            runner.run(script.main, "", "")
            code = 0
        finally:
            os._exit(code)
    if moment is not None:
        time.sleep(moment)
        os.kill(
            child, signal.SIGKILL
        )  # a process that has ended waits for us: its number is not another's yet
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
        sys.exit(f"the stage failed by itself: status {status}")
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    main(sys.argv[1], [float(moment) for moment in sys.argv[2:]])
