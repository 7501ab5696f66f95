"""`dvc repro` with the times of its stages, on a pipeline of two lines."""

import getpass
import json
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

from fieldmark.base.errors import UserError
from fieldmark.running.copies import update_copy
from fieldmark.running.pipeline import reproduce

STAGES = ROOT / "src/stages"
# The real frame of all stages around one that passes, fails or waits, as its argument says.
SCRIPT = f"""
import gc, sys, time
sys.path.insert(0, {str(STAGES)!r})
from _stage import guarded
from fieldmark.base.errors import UserError
def main():
    assert gc.isenabled()  # it is off only while a stage imports
    if sys.argv[1] == "fail":
        raise UserError("it fails")
    open(sys.argv[1], "w").close()
    time.sleep(60 if sys.argv[1] == "wait" else 0)
guarded(main)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "params.yaml").write_text("runtime: {device: cpu}\n")
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def pipeline(folder: Path, **stages: str) -> None:
    lines = [f"  {name}: {{cmd: python script.py {word}, outs: [{word}]}}" for name, word in stages.items()]
    (folder / "dvc.yaml").write_text("\n".join(["stages:", *lines, ""]))


def rows(printed: str) -> list[str]:
    """Return the first column of the table; empty where there is none."""
    return re.findall(r"^(\S+(?: \(not done\))?) +\d+\.\d +\d+%$", printed, re.MULTILINE)


def test_a_run_ends_with_its_stages_and_one_without_stages_with_none(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline(project, first="one", second="two")
    assert reproduce(project) == 0
    assert sorted(rows(capfd.readouterr().out)) == ["dvc", "first", "second", "total"]
    assert reproduce(project) == 0
    assert rows(capfd.readouterr().out) == []
    pipeline(project, first="one", second="two", third="three")
    assert reproduce(project, ["third"]) == 0
    assert rows(capfd.readouterr().out) == ["third", "dvc", "total"]


def test_a_folder_from_an_archive_runs_without_git(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "Fältmärken und Vögel"
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    (folder / "params.yaml").write_text("runtime: {device: cpu}\n")
    Repo.init(str(folder), no_scm=True).close()
    (folder / ".dvc/config").write_text("[core]\n    autostage = true\n")
    pipeline(folder, first="one", second="two")
    for _ in range(2):
        assert reproduce(folder, jobs=2) == 0
    printed = capfd.readouterr()
    assert printed.out.count("no Git repository") == 1
    assert (folder / "two").exists()
    assert "not a git repository" not in printed.err


@pytest.mark.parametrize(
    ("place", "name", "error"),
    [(Path, "home", RuntimeError("no directory")), (getpass, "getuser", KeyError("uid not found: 12345"))],
)
def test_without_a_home_directory_or_a_name_a_line_says_what_to_set(
    project: Path, monkeypatch: pytest.MonkeyPatch, place: object, name: str, error: Exception
) -> None:
    def unknown() -> None:
        raise error

    monkeypatch.setattr(place, name, unknown)
    pipeline(project, first="one")
    with pytest.raises(UserError, match="set both, such as HOME=/tmp/home USER=me"):
        reproduce(project)
    with pytest.raises(UserError, match="set both, such as HOME=/tmp/home USER=me"):
        update_copy(project, "copy", "")


def test_a_run_that_fails_says_what_was_done(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pipeline(project, broken="fail")
    assert reproduce(project) != 0
    assert rows(capfd.readouterr().out) == ["broken (not done)", "dvc", "total"]


def test_a_run_that_is_interrupted_says_what_was_done(project: Path) -> None:
    pipeline(project, long="wait")
    running = subprocess.Popen(
        [sys.executable, str(STAGES / "repro.py")],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a runner may have it ignored
    )
    while not (project / "wait").exists():
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # what Ctrl-C sends: to all processes of the terminal
    printed, _ = running.communicate()
    assert running.returncode != 0
    assert rows(printed) == ["long (not done)", "dvc", "total"]
    assert "Traceback" not in printed


ASKS = """
import json, os, sys
names = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")
json.dump({name: os.environ.get(name) for name in names}, open(sys.argv[1], "w"))
"""


def test_stages_keep_freed_memory_unless_the_user_says_otherwise(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "script.py").write_text(ASKS)
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "5")
    pipeline(project, first="one")
    assert reproduce(project) == 0
    told = json.loads((project / "one").read_text())
    assert told == {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "5"}
