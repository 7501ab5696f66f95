"""A loss in somebody's notebook: what is imported with a public name, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.pipeline import ROOT

from .names import NAMES

MAX_FILES = 6  # of ours, beside the __init__ of packages
HEAVY = {
    *(
        "timm",
        "torchvision",
        "open_clip",
        "lightning",
        "lightning_fabric",
        "dvclive",
        "dvc",
        "pandas",
        "pyarrow",
    ),
    *(
        "pydantic",
        "ruamel",
        "sklearn",
        "scipy",
        "matplotlib",
        "nltk",
        "PIL",
        "great_expectations",
        "safetensors",
    ),
}
WITHOUT_TORCH = ("fieldmark:load", "fieldmark.language:noun_phrases")
ALL = [f"{module}:{name}" for module, name in NAMES]


@pytest.fixture(scope="module")
def imported():
    """What each public name imports."""
    others = [name for name in ALL if name not in WITHOUT_TORCH]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("imported.py"), *WITHOUT_TORCH, "torch", *others],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", ALL)
def test_a_public_name_imports_little(name, imported):
    files, packages = imported[name]["files"], set(imported[name]["packages"])
    assert len(files) <= MAX_FILES, files
    assert not packages & HEAVY, packages & HEAVY
    assert ("torch" in packages) == (name not in WITHOUT_TORCH)


def test_what_is_counted_is_what_is_imported(imported):
    """Of two names whose files are few enough to tell by hand."""
    irt = "fieldmark.methods.irt.model"
    expected = ["fieldmark.engine.precision", f"{irt}.losses", f"{irt}.memory", f"{irt}.pairs"]
    assert imported["fieldmark.methods.irt:koleo_loss"]["files"] == expected
    retrieval = [
        f"fieldmark.evaluation.{name}"
        for name in ("arrays", "nearest", "ranking", "retrieval", "shortlist", "tiles")
    ]
    assert imported["fieldmark.evaluation:retrieval_metrics"]["files"] == retrieval
