"""The four stage scripts, run as DVC runs them, on a folder of photographs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.pictures import encoded, noise

from fieldmark.datasets.data.roles.splits import read_split

ROOT = Path(__file__).parents[2]
PARAMS = """
datasets:
  birds: {source: folder, folder: {path: photos}, encoding: raw, side: 32}
splits:
  retrieval: {dataset: birds, kind: retrieval}
"""


@pytest.fixture
def workspace(tmp_path):
    for number in range(12):
        path = tmp_path / "photos" / "abcd"[number % 4] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(number)))
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path


def stage(workspace, script, name):
    return subprocess.run(
        [sys.executable, str(ROOT / "src" / "stages" / f"{script}.py"), name],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stages_lead_from_a_folder_to_a_validated_split(workspace):
    for script, name in [
        ("download", "birds"),
        ("prepare", "birds"),
        ("split", "retrieval"),
        ("validate", "birds"),
    ]:
        done = stage(workspace, script, name)
        assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # Great Expectations keeps its remarks to itself
    assert sorted(path.name for path in (workspace / "data/prepared/birds").iterdir()) == [
        "images.arrow",
        "manifest.parquet",
        "rejected.json",
        "summary.json",
    ]
    assert len(read_split(workspace / "data/splits/retrieval.parquet")) == 12
    report = json.loads((workspace / "reports/validation/birds.json").read_text())
    assert all(outcome["success"] for outcome in report["expectations"])


def test_a_mistake_is_one_line_and_status_one_and_writes_nothing(workspace):
    (workspace / "photos" / "a" / "0.png").write_bytes(b"")
    assert stage(workspace, "download", "birds").returncode == 0
    failed = stage(workspace, "prepare", "birds")
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert "error: 1 of 12 pictures cannot be used" in failed.stderr.splitlines()[-1]
    assert not (workspace / "data" / "prepared" / "birds").exists()


def test_an_unknown_name_is_named_with_the_nearest(workspace):
    failed = stage(workspace, "split", "retreival")
    assert failed.stderr == "error: splits has no 'retreival'; did you mean 'retrieval'?\n"
