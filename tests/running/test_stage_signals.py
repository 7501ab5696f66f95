"""A stage that the system wants to end says so in one line; the processes that it has forked say nothing."""

import signal
import subprocess
import sys

from support.pipeline import ROOT

PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from _stage import guarded

def pool_ends(count):
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(count) as pool:
        pool.map(abs, range(9))

def action():
    pool_ends(2)  # its processes are ended by SIGTERM
    print("ready", flush=True)
    time.sleep(60)

guarded(action)
"""


def test_sigterm_ends_a_stage_with_one_line() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ROOT / "src/stages")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 128 + signal.SIGTERM
    assert errors == "stopped by SIGTERM; run the same command again to go on\n"


FORK = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from _stage import guarded

def action():
    # The signal is sent by what was registered before the stage: it comes before the child has its own handler.
    for _ in range(20):
        child = os.fork()
        if not child:
            signal.pause()
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGTERM

os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
guarded(action)
print("ended")
"""


def test_a_forked_process_ends_also_when_asked_before_it_has_begun() -> None:
    child = subprocess.run(
        [sys.executable, "-c", FORK, str(ROOT / "src/stages")], capture_output=True, text=True, timeout=20
    )
    assert (child.stdout, child.stderr) == ("ended\n", "")
