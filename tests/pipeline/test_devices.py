"""Evaluation in several processes, which share the pictures, writes what one process does."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.clone import clone, command, repro
from support.pipeline import TINY_PARAMS

RESULT = Path("reports/results/irt.json")


def evaluated(folder: Path) -> tuple[dict[str, Any], set[Path]]:
    """Return the result of IRT and which figures there are."""
    figures = folder / "reports/figures/irt"
    files = {path.relative_to(figures) for path in figures.rglob("*") if path.is_file()}
    return json.loads((folder / RESULT).read_text()), files


@pytest.mark.slow
def test_two_processes_score_as_one_does(tmp_path: Path) -> None:
    clone(tmp_path, TINY_PARAMS)
    repro(tmp_path, "evaluate@irt")
    alone, figures = evaluated(tmp_path)
    (tmp_path / RESULT).unlink()
    params = TINY_PARAMS.replace("workers: 0}", "workers: 0, devices: 2}")
    (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
    done = command(tmp_path, sys.executable, "src/stages/evaluate.py", "irt")
    assert done.returncode == 0, done.stderr
    assert "Starting with 2 processes" in done.stderr + done.stdout
    together, also = evaluated(tmp_path)
    assert also == figures
    assert together == alone
