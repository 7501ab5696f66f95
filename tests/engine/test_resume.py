"""A run that is killed and started again must end with the weights of an uninterrupted one."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task

from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import TrainRecipe
from fieldmark.engine.stopping import between_steps
from fieldmark.engine.training import train_on
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams, MemoryParams

STEPS = 40


def irt_params(**train: object) -> IrtParams:
    fields = {"steps": STEPS, "batch_size": 6, "images_per_class": 2, "lr": 1e-3, "ema": 0.9, **train}
    return IrtParams(
        images=ImageParams(side=SIDE, jitter=0.2),
        train=TrainRecipe(**fields),
        memory=MemoryParams(momentum=0.9),
    )


def run(folder: Path, task_folder: Path, workers: int = 0, **train: object) -> Irt:
    """Train the tiny IRT, resuming from whatever `folder` holds."""
    params = irt_params(**train)
    task = dataclasses.replace(make_task(task_folder, workers=workers), states=StateKey(folder))
    torch.manual_seed(0)
    method = Irt.build(Irt.named(params, "R"), task)
    train_on(method, params.images, params.seeded, task, "irt/R")
    return method


def state_of(folder: Path) -> Path:
    """Return the file of the state that `run` leaves in `folder`."""
    return StateKey(folder).folder("irt/R").path


def equal(a: Irt, b: Irt) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(
        name == other and (torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y)
        for (name, x), (other, y) in pairs
    )


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_killed_at_random_points_ends_like_an_uninterrupted_run(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", tmp_path / "a")
    program = (
        "import sys; sys.path[:0] = sys.argv[3:]; from pathlib import Path; "
        "from engine.test_resume import run; run(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]
    kills = 0
    generator = random.Random(0)
    for attempt in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "cut"), str(tmp_path / f"b{attempt}"), *paths],
            stderr=subprocess.DEVNULL,
        )
        state = state_of(tmp_path / "cut")
        before = state.stat().st_mtime_ns if state.exists() else 0
        while child.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(generator.random() * 0.1)
        if child.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.wait()
    assert kills > 0, "every run ended before it could be killed"
    assert equal(whole, run(tmp_path / "cut", tmp_path / "c"))


def test_workers_do_not_change_the_result(tmp_path: Path) -> None:
    none, two = (run(tmp_path / f"r{n}", tmp_path / f"t{n}", workers=n, steps=10) for n in (0, 2))
    assert equal(none, two)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = run(tmp_path / "r", tmp_path / "a", steps=10)
    state = state_of(tmp_path / "r")
    before = state.stat().st_mtime_ns
    assert equal(first, run(tmp_path / "r", tmp_path / "b", steps=10))
    assert state.stat().st_mtime_ns == before


class AskedError(Exception):
    """What a signal's handler raises outside of training."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_step_and_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def raise_asked(*_: object) -> None:
        raise AskedError

    def trained(task_folder: Path, states: Path, keep: Callable[[int], None]) -> tuple[Irt, list[Point]]:
        params = irt_params()
        task = dataclasses.replace(make_task(task_folder), states=StateKey(states))
        seldom = task.runtime.model_copy(update={"checkpoint_seconds": 1e9})
        torch.manual_seed(0)
        method = Irt.build(Irt.named(params, "R"), task)
        task = dataclasses.replace(task, runtime=seldom)
        return method, train_on(method, params.images, params.seeded, task, "irt/R", keep)

    earlier = signal.signal(number, raise_asked)
    try:
        whole, curve = trained(tmp_path / "a", tmp_path / "whole", lambda done: None)
        with pytest.raises(AskedError):
            trained(tmp_path / "b", tmp_path / "cut", lambda done: done == 13 and signal.raise_signal(number))
        assert signal.getsignal(number) is raise_asked
        assert torch.load(state_of(tmp_path / "cut"), weights_only=True)["step"] == 13
        resumed, again = trained(tmp_path / "c", tmp_path / "cut", lambda done: None)
    finally:
        signal.signal(number, earlier)
    assert equal(whole, resumed)
    assert again == curve


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_leaves_workers_to_their_trainer(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C in a terminal and a scheduler's SIGTERM reach the loader processes as well."""
    program = (
        "import signal, sys; sys.path[:0] = sys.argv[3:]; from pathlib import Path; "
        "signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "from engine.test_resume import run; run(Path(sys.argv[1]), Path(sys.argv[2]), workers=2, steps=100000)"
    )
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "cut"), str(tmp_path / "a"), *paths],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    state = state_of(tmp_path / "cut")
    while child.poll() is None and not state.exists():
        time.sleep(0.01)
    os.killpg(child.pid, number)
    _, errors = child.communicate(timeout=60)
    assert "Error" not in errors
    assert child.returncode == -number
    assert torch.load(state, weights_only=True)["step"] > 0


def test_a_second_signal_does_not_wait() -> None:
    def raise_asked(*_: object) -> None:
        raise AskedError

    earlier = signal.signal(signal.SIGTERM, raise_asked)
    try:
        with pytest.raises(AskedError), between_steps(alone=True) as stopping:
            signal.raise_signal(signal.SIGTERM)
            assert stopping.asked == signal.SIGTERM
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("the second signal was not obeyed")
        with pytest.raises(AskedError), between_steps(alone=False):
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("with other processes a signal was not obeyed at once")
    finally:
        signal.signal(signal.SIGTERM, earlier)
