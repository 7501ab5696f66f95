"""Machines that are not like the developer's: each case works, or one line says why not."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from support.clone import AUTHOR, clone, command
from support.pipeline import ROOT, TINY_PARAMS

from fieldmark.running.pipeline import reproduce

REPRO = ROOT / "src/stages/repro.py"
WRITES = "import sys; open(sys.argv[1], 'w').write(open('params.yaml').read() + sys.argv[1])"
WAITS = "open('begun', 'w').close(); import time; time.sleep(60)"


def project(folder: Path, script: str, **stages: str) -> Path:
    """A pipeline of one script, which depends on params.yaml and writes what its argument says."""
    folder.mkdir(parents=True)
    (folder / "script.py").write_text(script)
    (folder / "params.yaml").write_text("runtime: {device: cpu}\nseed: 0\n")
    entry = "  {}: {{cmd: python script.py {}, deps: [script.py], params: [seed], outs: [{}]}}"
    lines = [entry.format(name, out, out) for name, out in stages.items()]
    (folder / "dvc.yaml").write_text("\n".join(["stages:", *lines, ""]))
    Repo.init(str(folder), no_scm=True).close()
    return folder


def test_outputs_that_are_links_into_the_cache_are_made_anew_and_leave_the_cache_whole(
    tmp_path: Path,
) -> None:
    folder = project(tmp_path / "p", WRITES, one="one")
    with (folder / ".dvc/config").open("a") as config:
        config.write("[cache]\n    type = symlink\n")
    contents = []
    for seed in (0, 1, 0):
        (folder / "params.yaml").write_text(f"seed: {seed}\n")
        assert reproduce(folder) == 0
        assert (folder / "one").is_symlink()
        contents.append((folder / "one").read_text())
    assert contents == ["seed: 0\none", "seed: 1\none", "seed: 0\none"]


def test_data_that_may_not_be_written_to_is_named_in_one_line(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", WRITES, one="data/one")
    (folder / "data").mkdir()
    inside = 'mount --bind data data && mount -o remount,ro,bind data || exit 77; exec "$@"'
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare here")
    done = subprocess.run(
        [unshare, "--map-root-user", "--mount", "sh", "-c", inside, "sh", sys.executable, str(REPRO)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this system lets no user mount a file system of his own")
    assert done.returncode
    told = [line for line in done.stderr.splitlines() if "Read-only file system" in line]
    assert any("data" in line for line in told), done.stderr
    assert "ERROR: unexpected" not in done.stderr


def test_ctrl_z_pauses_the_stages_too_until_the_run_is_continued(tmp_path: Path) -> None:
    folder = project(tmp_path / "p", WAITS, one="one")
    running = subprocess.Popen(
        [sys.executable, str(REPRO)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,  # as a shell starts a command
    )
    try:
        wait_for(lambda: (folder / "begun").exists())
        [dvc] = children(running.pid)
        os.killpg(running.pid, signal.SIGTSTP)  # what Ctrl-Z sends, to the group of the terminal alone
        wait_for(lambda: state(running.pid) == state(dvc) == "T")
        os.killpg(running.pid, signal.SIGCONT)  # what `fg` sends
        wait_for(lambda: "T" not in (state(running.pid), state(dvc)))
    finally:
        os.killpg(running.pid, signal.SIGTERM)  # a run in the background may ignore Ctrl-C
        running.wait(60)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def state(process: int) -> str:
    """Return the state of a process, as Linux names it: T for one that is paused."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def children(process: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


DATA_ALONE = {
    **{name: part for name, part in yaml.safe_load(TINY_PARAMS).items() if name in ("runtime", "datasets", "splits")},
    **{name: {} for name in ("backbones", "phrases", "clip_models", "prompts", "methods")},
    **{name: {} for name in ("arms", "judge", "transfer", "distill")},
}  # fmt: skip


@pytest.fixture
def cloned(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A clone whose data were prepared and committed; its folder has the name that the test gives."""
    folder = tmp_path / request.param
    folder.mkdir()
    clone(folder, yaml.safe_dump(DATA_ALONE))
    prepare(folder)
    assert command(folder, "git", *AUTHOR, "commit", "-qam", "prepared").returncode == 0
    return folder


def prepare(folder: Path) -> str:
    done = command(folder, sys.executable, "src/stages/repro.py", "prepare@birds")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("cloned", ["Fältmärken und Vögel"], indirect=True)
def test_a_git_worktree_runs(cloned: Path, tmp_path: Path) -> None:
    added = command(cloned, "git", "worktree", "add", "-q", str(tmp_path / "beside"))
    assert added.returncode == 0, added.stderr
    prepare(tmp_path / "beside")
    names = ("images.arrow", "manifest.parquet")
    here, there = (folder / "data/prepared/birds" for folder in (cloned, tmp_path / "beside"))
    assert [(here / name).read_bytes() == (there / name).read_bytes() for name in names] == [True, True]


@pytest.mark.slow
@pytest.mark.parametrize("cloned", ["a clone"], indirect=True)  # DVC's queue cannot write a path beyond ASCII
def test_an_experiment_in_the_queue_runs_the_code_of_when_it_was_queued(cloned: Path) -> None:
    dvc = (sys.executable, "-m", "dvc")
    queued = command(
        cloned, *dvc, "exp", "run", "--queue", "-S", "datasets.birds.world.seed=7", "prepare@birds"
    )
    assert queued.returncode == 0, queued.stderr
    with (cloned / "src/fieldmark/datasets/preparing/prepare.py").open("a") as source:
        source.write('\nraise SystemExit("the edited code runs")\n')
    assert command(cloned, sys.executable, "src/stages/prepare.py", "birds").returncode != 0  # the edit works
    assert command(cloned, *dvc, "queue", "start").returncode == 0
    wait_for(lambda: re.search("Success|Failed", command(cloned, *dvc, "queue", "status").stdout), 300)
    told = command(cloned, *dvc, "queue", "status").stdout
    assert "Success" in told, told + command(cloned, *dvc, "queue", "logs", told.split()[5]).stdout
