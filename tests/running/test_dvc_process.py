"""DVC as a process of a run: its own files are whole, and it ends with the run."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.fs import LocalFileSystem
from dvc.repo import Repo
from support.pipeline import ROOT

from fieldmark.running.graph import read_pipeline
from fieldmark.running.orphans import LOCK, wait_for_orphans
from fieldmark.running.pipeline import DVC, reproduce
from fieldmark.running.whole_files import whole_files

PIPELINE = "stages: {one: {cmd: 'CMD', params: [salt], outs: [one]}}\n"
SLEEPS = "cp params.yaml one; echo $$ > begun; exec sleep 60"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text("salt: 1\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE.replace("CMD", "cp params.yaml one"))
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("mode", ["w", "w+"])
def test_what_is_not_written_to_its_end_leaves_the_old_file(
    tmp_path: Path, mode: str, error: BaseException
) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text("old")
    with (
        pytest.raises(type(error)),
        whole_files(),
        LocalFileSystem().open(str(path), mode, encoding="utf-8") as stream,
    ):
        stream.write("half")
        raise error
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("dvc.lock", "old")]
    with whole_files(), LocalFileSystem().open(str(path), mode, encoding="utf-8") as stream:
        stream.write("né")
    with whole_files(), LocalFileSystem().open(str(path), encoding="utf-8") as stream:
        assert stream.read() == "né"


def test_dvc_replaces_its_lock_and_never_writes_into_it(project: Path) -> None:
    """A link to the file as it was still has what was in it."""
    assert reproduce(project) == 0
    text = (project / "dvc.lock").read_text()
    (project / "kept").hardlink_to(project / "dvc.lock")
    (project / "params.yaml").write_text("salt: 2\n")
    assert reproduce(project) == 0
    assert "salt: 2" in (project / "dvc.lock").read_text()
    assert (project / "kept").read_text() == text


def test_a_look_at_the_pipeline_replaces_what_dvc_notes_of_it(project: Path) -> None:
    """DVC notes even who reads; a run that is killed while it plans leaves no half of that."""
    assert reproduce(project) == 0
    note, kept = project / ".dvc/tmp/rwlock", project / "kept"
    text = note.read_text()
    kept.hardlink_to(note)
    assert read_pipeline(project) is not None
    assert kept.read_text() == text
    assert not note.samefile(kept)


def test_what_a_killed_run_has_left_is_stopped_and_the_next_run_waits_for_its_end(project: Path) -> None:
    """The next run has other parameters: nothing that the first was making is taken for theirs."""
    (project / "dvc.yaml").write_text(PIPELINE.replace("CMD", SLEEPS))
    run = subprocess.Popen([sys.executable, str(ROOT / "src/stages/repro.py")], cwd=project, process_group=0)
    until((project / "begun").exists)
    stage = int((project / "begun").read_text())
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    (project / "params.yaml").write_text("salt: 2\n")
    (project / "dvc.yaml").write_text(PIPELINE.replace("CMD", "cp params.yaml one"))
    assert reproduce(project) == 0
    assert not Path(f"/proc/{stage}").exists()
    assert (project / "one").read_text() == "salt: 2\n"
    with Repo(str(project)) as repo:
        assert repo.status() == {}


def test_a_run_says_that_it_waits(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """DVC runs on here, for its parent lives: as one that has not yet noticed."""
    wait_for_orphans(project)
    (project / "dvc.yaml").write_text(PIPELINE.replace("CMD", "touch begun; sleep 2; cp params.yaml one"))
    left = subprocess.Popen([*DVC, "repro"], cwd=project, process_group=0)
    until((project / "begun").exists)
    wait_for_orphans(project)
    assert (project / "one").exists()
    assert "Waiting for the end of what a killed run has left running here.\n" in capfd.readouterr().err
    assert left.wait() == 0
    wait_for_orphans(project)
    assert "Waiting" not in capfd.readouterr().err
    assert (project / LOCK).exists()


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
