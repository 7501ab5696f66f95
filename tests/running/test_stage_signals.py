"""A stage that the system wants to end says so in one line; the processes that it has forked say nothing.

So does one whose loader process is killed, and one that runs already.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
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


INTERRUPT = """
import sys
sys.path.insert(0, sys.argv[1])
import _stage
raise {error}
"""


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "RuntimeError('mine')"])
def test_an_interrupt_among_the_imports_is_one_line_and_an_error_is_whole(error: str) -> None:
    command = [sys.executable, "-c", INTERRUPT.format(error=error), str(ROOT / "src/stages")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    if error == "KeyboardInterrupt":
        assert done.stderr == "interrupted; run the same command again to go on\n"
    else:
        assert "Traceback" in done.stderr
        assert done.stderr.endswith("RuntimeError: mine\n")


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


WORKERS = """
import multiprocessing, os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from _stage import guarded
from support.tiny import SIDE, make_task
from fieldmark.datasets.data.batches.loading import PictureDataset, Slice, loader
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform

def action():
    task = make_task(Path("task"))
    train = task.subset("train")
    dataset = PictureDataset(task.store, train.rows, train.labels, training_transform(ImageParams(side=SIDE)))
    batches = loader(dataset, [Slice(step, 0, (0, 1)) for step in range(10**5)], workers=2)
    next(batches)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    for _ in batches:
        pass

guarded(action)
"""


def test_a_killed_loader_process_is_told_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKERS, str(ROOT / "src/stages"), str(ROOT / "tests")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: a loader process has died (DataLoader worker")
    assert "run the same command again" in done.stderr
    assert done.stderr.count("\n") == 1


SLOW_STAGE = """
import sys, time
sys.path.insert(0, sys.argv.pop(1))
import _stage
sys.argv[0] = "src/stages/train.py"

def stage(name, configuration):
    print("ready", flush=True)
    time.sleep(60)

_stage.run(stage, "", "")
"""


def test_the_same_stage_does_not_run_twice_at_once(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("irt: {}\n")

    def start(item: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", SLOW_STAGE, str(ROOT / "src/stages"), item]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True)

    living = [start("irt"), start("frpt")]  # another item beside it may run
    try:
        for child in living:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        second = start("irt")
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 1
        assert errors.startswith(f"error: train@irt already runs here (process {living[0].pid} on ")
        assert errors.count("\n") == 1
    finally:
        for child in living:
            child.send_signal(signal.SIGTERM)
            child.communicate()
    assert list((tmp_path / ".resume").iterdir()) == []
