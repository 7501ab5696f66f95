"""`make demo` and `make claims` are killed at random moments: the user's files stay, and the same command goes on."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvc.repo import Repo
from reporting.example import method_result, write
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.reporting.claims import read_claims

pytestmark = pytest.mark.slow
KILLS = 5
PARAMS = "runtime: {device: cpu}\nmethods: {irt: {}, pma: {}}\nirt: {dim: 5, seeds: [0]}\npma: {seeds: [0]}\n"
# Two methods side by side, in place of their training
PIPELINE = """\
stages:
  train:
    foreach: [irt, pma]
    do: {cmd: 'sleep 0.5 && mkdir -p models && cp params.yaml models/${item}', params: [irt], outs: ['models/${item}']}
  report:
    cmd: mkdir -p reports/results && cp irt.json reports/results && cp params.yaml reports/index.html
    deps: [models/irt, models/pma, irt.json]
    outs: [reports/index.html, reports/results/irt.json]
"""
# The command by the name of its copy, and what it may write to the user's own reports
COMMANDS = {
    "demo": (["in_copy.py", "demo", "small"], ()),
    "claims": (
        ["claims.py", "--seeds", "3", "4", "--copy", "claims", "irt.dim=1"],
        ("reports/claims.md", "reports/claims.json"),
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with results of its own."""
    files = {
        "presets/small.yaml": "# Small\nirt: {dim: 1}\n",
        "dvc.yaml": PIPELINE,
        "dvc.lock": "schema: '2.0'\nstages: {}\n",
        "params.yaml": PARAMS,
        ".gitignore": ".copies/\n",
        "reports/summary.md": "the user's",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    write(tmp_path / "irt.json", method_result("irt"))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    Repo.init(str(tmp_path)).close()
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    return tmp_path


def start(root: Path, arguments: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "src/stages" / arguments[0]), "--jobs", "2", *arguments[1:]],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a runner may have it ignored
    )


def contents(root: Path, own: tuple[str, ...]) -> dict[str, str]:
    """A digest of each file of the user's, but for those that the command may write."""
    files = [
        path for path in root.rglob("*") if path.is_file() and not {".git", ".copies", ".dvc"} & {*path.parts}
    ]
    named = {path.relative_to(root).as_posix(): path for path in files}
    return {
        name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in named.items() if name not in own
    }


def known(copy: Path) -> set[str]:
    """The stages in the copy's dvc.lock, which must be whole."""
    lock = copy / "dvc.lock"
    return set(read_yaml(lock)["stages"]) if lock.exists() else set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_with_its_group(root: Path, name: str, number: signal.Signals) -> None:
    arguments, own = COMMANDS[name]
    before, copy = contents(root, own), root / ".copies" / name
    moments = random.Random(f"{name} {number}")
    begun = time.monotonic()
    whole = start(root, arguments)
    said, _ = whole.communicate()
    assert whole.returncode == 0, said
    seconds, done = time.monotonic() - begun, known(copy)
    assert done == {"train@irt", "train@pma", "report"}
    for turn in range(KILLS):
        changed = [*arguments, f"irt.other={turn}"]
        killed = start(root, changed)
        time.sleep(moments.uniform(0.05, 0.95) * seconds)
        if killed.poll() is None:
            os.killpg(killed.pid, number)
        said, _ = killed.communicate()
        assert "Traceback" not in said
        assert known(copy) == done, "dvc.lock is not what it was"
        assert contents(root, own) == before
        read_yaml(copy / "params.yaml")
        if own:
            read_claims(root / own[1])
    last = start(root, changed)
    said, _ = last.communicate()
    assert last.returncode == 0, said
    assert read_yaml(copy / "models/pma")["irt"]["other"] == KILLS - 1
    assert contents(root, own) == before
    assert not [path for path in copy.rglob(".*.part*") if ".dvc" not in path.parts]
