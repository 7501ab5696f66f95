"""Every method is killed twenty times at random moments; the same command goes on to the weights of a whole run."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.clone import clone, command
from support.pipeline import ROOT

from fieldmark.preflight.presets import composed

pytestmark = pytest.mark.slow
KILLS, STEPS = 20, 40
STAGES = ("train@irt", "train@frpt", "train@cprfl", "train@pma", "train@loca", "distill@pma")
BEFORE = (
    *("check", "download@birds", "download@scenes", "prepare@birds", "prepare@scenes", "split@retrieval"),
    *(
        "split@classification",
        "split@longtail",
        "split@others",
        "validate@birds",
        "validate@scenes",
        "phrases@birds",
    ),
    *("pretrain@resnet", "clip@small", "prompts@scenes", "train@pma"),
)
SETTINGS = (
    *(
        "runtime.device=cpu",
        "runtime.checkpoint_seconds=0",
        "backbones.resnet.train.steps=3",
        "datasets.scenes.world.photographs=20",
    ),
    *(f"{block}.train.steps={STEPS}" for block in ("irt", "frpt", "cprfl", "pma", "loca", "distill.pma")),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the stages read."""
    folder = tmp_path_factory.mktemp("project")
    clone(folder, composed(ROOT / "params.yaml", ["quick", *SETTINGS], ROOT / "presets"))
    run(folder, str(ROOT / "tests/pipeline/one_process.py"), *BEFORE)
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = command(folder, sys.executable, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("stage", STAGES)
def test_killed_twenty_times_it_ends_with_the_weights_of_a_whole_run(project: Path, stage: str) -> None:
    kind, _, name = stage.partition("@")
    script = (f"src/stages/{kind}.py", name)
    outputs = project / "models" / name / ("students" if kind == "distill" else "variants")
    shutil.rmtree(outputs, ignore_errors=True)
    run(project, *script)
    whole = contents(outputs)
    assert any(file.endswith(".safetensors") for file in whole)
    moments = random.Random(stage)
    asked = [str(moments.uniform(0.05, 0.95)) for _ in range(KILLS)]
    said = run(project, str(ROOT / "tests/support/kills.py"), stage, *asked).stdout
    killed = dict(zip(said.split()[::2], map(int, said.split()[1::2]), strict=True))
    assert killed["killed"] == KILLS
    assert killed["with_state"] > KILLS // 4, "hardly any kill came in the middle of a training"
    run(project, *script)
    assert contents(outputs) == whole
    assert half_written(project) == []
    assert list((project / ".resume").iterdir()) == []


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def half_written(project: Path) -> list[Path]:
    return [
        path
        for name in ("data", "models", "reports", ".resume")
        for path in (project / name).rglob(".*.part*")
    ]
