"""What a stage imports before it does anything: each package here is seconds for every one of its items.

Stages that use no network import no torch, and nobody imports timm, torchvision, open_clip, Lightning or DVCLive
before a network is built or trained: see where `vision.libraries`, `engine.loop` and others import them.
"""

import json
import os
import subprocess
import sys

import pytest
from support.pipeline import ROOT

from fieldmark.contract.registry import known_methods

IMPORTED = ROOT / "tests/public/imported.py"
NETWORKS = {"timm", "torchvision", "open_clip", "lightning_fabric", "dvclive", "dvc"}
HEAVY = {*NETWORKS, "torch", "great_expectations", "matplotlib", "nltk", "scipy", "sklearn"}
PRESET = "fieldmark.preflight.presets:composed"  # of scripts that people call
# Module and a name in it, with what of HEAVY it may import. A stage is its script and what it finds by name.
LIGHT = {
    "download:main": set(),
    "prepare:main": set(),
    "fieldmark.datasets.sources.world:SOURCE": set(),
    "split:main": set(),
    "validate:main": {"great_expectations", "scipy"},
    "describe:main": set(),
    "phrases:main": {"nltk", "scipy", "sklearn"},  # NLTK brings the other two
    "report:report": set(),
    "repro:main": set(),
    "in_copy:main": set(),
}
TORCH = {
    **{
        f"{stage}:main": {"torch"}
        for stage in ("check", "pretrain", "clip", "prompts", "train", "arm", "distill")
    },
    "score:main": {"torch", "matplotlib"},
    "evaluate:main": {"torch"},
    **{f"fieldmark.methods.{name}.model.method:METHOD": {"torch"} for name in known_methods()},
}


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """The heavy packages that come with each name, each in a process of its own."""
    done = subprocess.run(
        [sys.executable, IMPORTED, *LIGHT, "torch", *TORCH],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "src/stages")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    return {line["name"]: set(line["packages"]) & HEAVY for line in lines}


@pytest.mark.parametrize("name", [*LIGHT, *TORCH])
def test_a_stage_starts_with_no_more_than_it_may(name: str, imported: dict[str, set[str]]) -> None:
    assert imported[name] <= {**LIGHT, **TORCH}[name]


def test_what_is_measured_is_there(imported: dict[str, set[str]]) -> None:
    assert "great_expectations" in imported["validate:main"]
    assert "torch" in imported["train:main"]


CHECK = """
import json, sys
from pathlib import Path
from fieldmark.configuration.configuration import Configuration
from fieldmark.preflight.check import check_params
check_params(Configuration.read(Path("params.yaml")))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_checking_the_parameters_builds_no_network() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", CHECK]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) & HEAVY <= {"torch"}
