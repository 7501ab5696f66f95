"""A stage that has no room for its output says so in one line and loses nothing; with room it goes on."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.clone import clone, command
from support.full_disk import NO_MOUNT, contents
from support.pipeline import ROOT

from fieldmark.preflight.presets import composed

DATA = ("check", "download@birds", "prepare@birds")
SPLIT = ("split@retrieval", "split@classification", "split@others")
TRAINED = (*SPLIT, "validate@birds", "pretrain@resnet", "train@irt")
SETTINGS = (
    *("runtime.device=cpu", "runtime.checkpoint_seconds=0", "backbones.resnet.train.steps=3"),
    *("datasets.birds.world.photographs=6", "irt.variants=[L, R]", "irt.train.steps=20"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, rendered and packed."""
    folder = tmp_path_factory.mktemp("project")
    clone(folder, composed(ROOT / "params.yaml", ["quick", *SETTINGS], ROOT / "presets"))
    make(folder, DATA)
    return folder


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with two trained variants of a method."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(data, folder)
    make(folder, TRAINED)
    return folder


def make(folder: Path, stages: tuple[str, ...]) -> None:
    done = command(folder, sys.executable, str(ROOT / "tests/pipeline/one_process.py"), *stages)
    assert done.returncode == 0, done.stderr


def tried(project: Path, kind: str, room: int, stage: str, *outputs: str) -> dict[str, Any]:
    """Run a stage without room and then with it, and check what holds for all stages."""
    own = ["unshare", "--map-root-user", "--mount"] if kind == "disk" else []
    if own and shutil.which(own[0]) is None:
        pytest.skip("no unshare here")
    script = str(ROOT / "tests/support/full_disk.py")
    done = subprocess.run(
        [*own, sys.executable, script, str(project), kind, str(room), stage, *outputs],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == NO_MOUNT or "unshare: " in done.stderr:
        pytest.skip("this system lets no user mount a file system of his own")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    status, said = told["first"]
    assert status == 1
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if "error" in line.lower()]
    assert len(errors) == 1, said
    assert errors[0].startswith("error: there is no room to write (")
    assert errors[0].endswith("; make room and run the same command again to go on")
    assert told["kept"], "the output of an earlier run is not what it was"
    assert told["half_written"] == []
    assert told["again"][0] == 0, told["again"][1]
    assert told["made"] == contents(project, list(outputs))
    return told


ROOM = {"disk": "No space left on device", "quota": "File too large"}


@pytest.mark.parametrize("kind", ROOM)
@pytest.mark.parametrize(
    ("stage", "folder"), [("download@birds", "data/raw"), ("prepare@birds", "data/prepared")]
)
def test_a_data_stage(data: Path, stage: str, folder: str, kind: str) -> None:
    told = tried(data, kind, 60, stage, f"{folder}/birds")
    assert f"({folder}/birds): {ROOM[kind]}; " in told["first"][1]


def test_a_disk_without_any_room(data: Path) -> None:
    tried(data, "disk", 0, "prepare@birds", "data/prepared/birds")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROOM)
def test_a_training_that_cannot_be_saved(trained: Path, kind: str) -> None:
    tried(trained, kind, 60, "train@irt", "models/irt/variants", "reports/history/irt")


@pytest.mark.slow
def test_a_training_goes_on_from_its_state_once_there_is_room(trained: Path) -> None:
    """There is room for a state and the one that replaces it, but not for a second variant's beside them."""
    state = 1300
    told = tried(trained, "disk", 2 * state, "train@irt", "models/irt/variants", "reports/history/irt")
    assert told["states"], told
    assert "irt-L-0" in told["first"][1]
