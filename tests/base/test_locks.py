"""A second run of the same is refused while the first lives, and never afterwards, however that ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.pipeline import ROOT

from fieldmark.base.errors import UserError
from fieldmark.base.locks import RANKS, alone

HOLDER = """
import os, sys, time
from pathlib import Path
from fieldmark.base.locks import alone
with alone(Path(sys.argv[1]), "train@irt"):
    forked = os.fork()  # as a loader process: it may outlive a parent that is killed
    if forked:
        print(forked, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def launched_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in RANKS:
        monkeypatch.delenv(rank, raising=False)


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock, which has forked one more."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    forked = int(child.stdout.readline())
    try:
        yield child
    finally:
        child.kill()
        os.kill(forked, signal.SIGKILL)
        child.communicate()


def test_the_second_is_told_who_runs(tmp_path: Path) -> None:
    path = tmp_path / "locks/train@irt.lock"
    with (
        held(path) as first,
        pytest.raises(
            UserError, match=rf"^train@irt already runs here \(process {first.pid} on .*\); [^\n]*$"
        ),
        alone(path, "train@irt"),
    ):
        raise AssertionError("two at once")
    assert path.exists()


def test_a_kill_frees_it_though_its_workers_live(tmp_path: Path) -> None:
    path = tmp_path / "train@irt.lock"
    with held(path) as first:
        first.kill()
        first.wait()
        with alone(path, "train@irt"):
            assert f"process {os.getpid()} on" in path.read_text()
    assert list(tmp_path.iterdir()) == []


def test_an_error_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "train@irt.lock"
    for _ in range(2):
        with pytest.raises(KeyError), alone(path, "train@irt"):
            raise KeyError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rank", RANKS)
def test_the_other_processes_of_a_training_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    path = tmp_path / "train@irt.lock"
    with held(path):
        monkeypatch.setenv(rank, "1")
        with alone(path, "train@irt"):
            pass
        monkeypatch.setenv(rank, "0")
        with pytest.raises(UserError, match="already runs"), alone(path, "train@irt"):
            pass
