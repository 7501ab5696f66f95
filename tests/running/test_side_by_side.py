"""`make repro` with branches side by side, on a pipeline of two methods with a shared stage, and one without."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvc.repo import Repo
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.running.pipeline import reproduce

STAGES = ROOT / "src/stages"
# The real frame of all stages around one that copies the parameter to its output. `meet` waits for the other method;
# `hold` then has DVC's lock for longer than DVC usually waits for it, as one that saves large outputs does.
SCRIPT = f"""
import fcntl, os, sys, time
from pathlib import Path
sys.path.insert(0, {str(STAGES)!r})
from _stage import guarded
from fieldmark.base.errors import UserError

def main():
    output, task = sys.argv[1:]
    Path(output).write_text(Path("params.yaml").read_text() + os.environ.get("OMP_NUM_THREADS", ""))
    Path(output + ".pid").write_text(str(os.getpid()))
    if task == "wait":
        time.sleep(60)
    if task == "fail":
        meet("train-a.pid")
        raise UserError("it fails")
    if task in ("meet", "hold"):
        meet("train-b.pid" if "-a" in output else "train-a.pid")
    if task == "hold":
        with open(".dvc/tmp/lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            time.sleep(4)

def meet(file):
    end = time.monotonic() + 60
    while not Path(file).exists():
        if time.monotonic() > end:
            raise UserError("alone")
        time.sleep(0.01)

guarded(main)
"""
PIPELINE = """\
stages:
  base: {cmd: python script.py base none, outs: [base]}
  train:
    foreach: {a: TASK_A, b: TASK_B}
    do: {cmd: 'python script.py train-${key} ${item}', deps: [base], outs: ['train-${key}'], params: [salt]}
  evaluate:
    foreach: {a: none, b: none}
    do: {cmd: 'python script.py evaluate-${key} ${item}', deps: ['train-${key}'], outs: ['evaluate-${key}']}
  describe: {cmd: python script.py describe none, deps: [base], outs: [describe]}
  report: {cmd: python script.py report none, deps: [evaluate-a, evaluate-b, describe], outs: [report]}
"""
NAMES = {"base", "train@a", "train@b", "evaluate@a", "evaluate@b", "describe", "report"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "params.yaml").write_text("salt: 1\n")
    write(tmp_path, "meet", "meet")
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def write(folder: Path, a: str, b: str) -> None:
    (folder / "dvc.yaml").write_text(PIPELINE.replace("TASK_A", a).replace("TASK_B", b))


def rows(printed: str) -> dict[str, str]:
    """Return the table: what stands behind each name."""
    return dict(re.findall(r"^(\S+(?: \(not done\))?) +\d+\.\d  +(\S.*)$", printed, re.MULTILINE))


def threads(project: Path, name: str) -> str:
    """Return how many threads a stage was told to use, as it wrote below the parameter."""
    return (project / name).read_text().partition("\n")[2]


def ran(printed: str) -> set[tuple[str, str]]:
    """Return the stages that ran, each with the branch that its line names."""
    return set(re.findall(r"^(?:(\w+) +\| )?Running stage '([^']+)'", printed, re.MULTILINE))


def test_methods_run_at_the_same_time_and_everything_is_made_once(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.running.pipeline.processors", lambda: 6)
    write(project, "meet", "hold")  # each method waits until the other has begun
    assert reproduce(project, jobs=2) == 0
    printed = capfd.readouterr().out
    branches = {("a", "train@a"), ("a", "evaluate@a"), ("b", "train@b"), ("b", "evaluate@b")}
    assert ran(printed) == {("base", "base"), *branches, ("describe", "describe"), ("report", "report")}
    table = rows(printed)
    assert set(table) == {*NAMES, "sum", "total"}
    assert (table["sum"], table["total"]) == ("100%", "side by side")
    assert set(read_yaml(project / "dvc.lock")["stages"]) == NAMES
    assert {name: threads(project, name) for name in ("base", "train-a", "evaluate-b")} == {
        "base": "3",
        "train-a": "3",
        "evaluate-b": "3",
    }
    with Repo(str(project)) as repo:
        assert repo.status() == {}
    assert reproduce(project, jobs=2) == 0
    assert capfd.readouterr().out == "Data and pipelines are up to date.\n"


def test_a_training_beside_which_none_can_run_has_all_processors(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.running.pipeline.processors", lambda: 6)
    (project / "params.yaml").write_text("salt: 1\nbase: {train: {steps: 5}}\n")
    training = PIPELINE.replace("base none, outs: [base]", "base none, params: [base], outs: [base]")
    (project / "dvc.yaml").write_text(training.replace("TASK_A", "meet").replace("TASK_B", "meet"))
    assert reproduce(project, jobs=2) == 0
    assert {name: threads(project, name).splitlines()[-1] for name in ("base", "train-a", "evaluate-b")} == {
        "base": "6",
        "train-a": "3",
        "evaluate-b": "3",
    }


def test_a_change_in_one_branch_is_run_by_one_dvc(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert reproduce(project, jobs=2) == 0
    write(project, "none", "meet")
    capfd.readouterr()
    assert reproduce(project, jobs=2) == 0
    printed = capfd.readouterr().out
    assert {("", "train@a"), ("", "report")} <= ran(printed)
    assert {branch for branch, _ in ran(printed)} == {""}
    assert rows(printed)["total"] == "100%"


def test_what_dvc_is_told_by_hand_is_run_by_one_dvc(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert reproduce(project, ["describe"], jobs=2) == 0
    assert ran(capfd.readouterr().out) == {("", "base"), ("", "describe")}


def test_a_failure_stops_the_others_is_said_last_and_the_next_run_goes_on(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, "wait", "fail")
    assert reproduce(project, jobs=2) != 0
    printed, errors = capfd.readouterr()
    assert set(rows(printed)) == {"base", "train@a (not done)", "train@b (not done)", "sum", "total"}
    assert re.fullmatch(r"b +\| error: it fails\nb +\| ERROR: failed to reproduce 'train@b'.*\n", errors)
    assert not running(project, "train-a")
    write(project, "meet", "meet")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert reproduce(project, jobs=2) == 0
    assert ("base", "base") not in ran(capfd.readouterr().out)
    assert threads(project, "train-a") == "5"  # who says how many gets as many


def test_a_failure_of_what_all_need_ends_the_run(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (project / "dvc.yaml").write_text(PIPELINE.replace("base none", "base nothing more"))
    assert reproduce(project, jobs=2) != 0
    assert ran(capfd.readouterr().out) == {("base", "base")}


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_the_run_ends_its_stages(project: Path, number: signal.Signals, jobs: str) -> None:
    """The signal goes to the script alone, as `kill` and `make` send it."""
    write(project, "wait", "wait")
    script = subprocess.Popen(
        [sys.executable, str(STAGES / "repro.py"), "--jobs", jobs],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a runner may have it ignored
    )
    waited = ("train-a", "train-b")[: int(jobs)]
    while not all((project / f"{name}.pid").exists() for name in waited):
        assert script.poll() is None
        time.sleep(0.05)
    script.send_signal(number)
    printed, _ = script.communicate()
    assert script.returncode != 0
    assert "interrupted; run the same command again to go on" in printed
    assert f"{waited[0].replace('-', '@')} (not done)" in rows(printed)
    assert not any(running(project, name) for name in waited)
    assert "Traceback" not in printed


def running(project: Path, name: str) -> bool:
    try:
        os.kill(int((project / f"{name}.pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True
