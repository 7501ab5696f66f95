"""DVC's own tables of what the real pipeline measures: few rows, and experiments that fit a terminal."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reporting.example import write
from reporting.repository import WHO, commit, git
from support.pipeline import ROOT, resolve

from fieldmark.base.blocks import read_yaml
from fieldmark.preflight.presets import with_settings

COLUMNS = 120
MOST_ROWS = 15  # of `dvc metrics diff` after an experiment that changes only irt.lambda
ABOUT = 60  # values of the default run
MEASURES = {
    "irt": ("recall@1", "map@r"),
    "frpt": ("recall@1", "map@r"),
    "cprfl": ("map", "tail"),
    "pma": ("top1",),
    "loca": ("miou_probe", "miou_finetune", "position_accuracy"),
    "backbones": ("recall@1", "top1"),
    "clip_models": ("zero-shot top1", "image to text recall@1", "text to image recall@1"),
    "prompts": ("mean similarity", "zero-shot map"),
    "difficulty": ("pixels_class", "colours_class"),
}
EXPERIMENTS = {  # name: its parameter, the method that it changes, the variants of it that it changes
    "low-lambda": ("irt.lambda=0.3", "irt", ("R",)),
    "long-memory": ("irt.memory.start=20", "irt", ("L", "R")),
    "small-kernel": ("frpt.kernel_size=15", "frpt", ("DPP", "attention", "FRPT")),
}
[EXP_SHOW] = re.findall(r"^dvc exp show .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


def dvc(folder, line):
    """Run a line as a shell does in a terminal of 120 columns; return what it prints."""
    bin_folder = Path(sys.executable).parent
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DVC", "GIT"))},
        **WHO,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": str(COLUMNS),
        "DVC_NO_ANALYTICS": "true",
    }
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names_of(source, params):
    """The names in the metrics file `source`, such as irt or backbones/vit."""
    section, _, _ = source.rpartition("/")
    if section:
        return MEASURES[section]
    variants = [*params[source]["variants"], *params["distill"].get(source, {}).get("students", [])]
    return [f"{variant}.{measure}" for variant in variants for measure in MEASURES[source]]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The stages of dvc.yaml that write metrics, done, with example values and nothing else in their files."""
    folder = tmp_path_factory.mktemp("project")
    params = read_yaml(ROOT / "params.yaml")
    stages = {
        name: stage
        for name, stage in read_yaml(ROOT / "dvc.yaml")["stages"].items()
        if "metrics" in stage.get("do", {})
    }
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for stage in resolve(tmp_path_factory.mktemp("resolved") / "whole").values():
        for file in (*stage.deps, *stage.outs) if stage.kind in stages else ():
            write_example(folder / file, file, params)
    (folder / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    git(folder, "init", "-q", "-b", "main")
    dvc(folder, "dvc init -q && dvc commit -q -f")
    commit(folder)
    return folder


def write_example(path, file, params):
    if path.exists():
        return
    source = file.removeprefix("reports/metrics/").removesuffix(".json")
    if source != file.removesuffix(".json"):
        names = names_of(source, params)
        write(path, {name: round(0.3 + 0.0123456 * place, 6) for place, name in enumerate(names)})
    else:
        write(path if path.suffix else path / "example", {})


def change(folder, setting, method, variants):
    """Do what an experiment does: one parameter, and the values of some variants of a method."""
    params, metrics = folder / "params.yaml", folder / f"reports/metrics/{method}.json"
    params.write_text(with_settings(params.read_text(), [setting]))
    values = json.loads(metrics.read_text())
    changed = {name for name in values if name.partition(".")[0] in variants}
    write(metrics, {name: round(value + 0.0123456 * (name in changed), 6) for name, value in values.items()})
    return changed


@pytest.fixture(autouse=True)
def restored(project):
    yield
    git(project, "checkout", "-q", ".")


def test_the_example_has_as_many_values_as_the_default_run(project):
    files = (project / "reports/metrics").rglob("*.json")
    assert ABOUT <= sum(len(json.loads(path.read_text())) for path in files) <= ABOUT + 10


def test_metrics_diff_shows_the_values_of_the_one_changed_variant(project):
    setting, method, variants = EXPERIMENTS["low-lambda"]
    changed = change(project, setting, method, variants)
    [_, *rows] = dvc(project, "dvc metrics diff").splitlines()
    assert 0 < len(rows) <= MOST_ROWS
    assert {row.split()[1] for row in rows} == changed
    assert {row.split()[0] for row in rows} == {"reports/metrics/irt.json"}


def test_the_line_of_the_readme_shows_experiments_on_120_columns(project):
    for name, experiment in EXPERIMENTS.items():
        change(project, *experiment)
        dvc(project, f"dvc exp save -q -f -n {name}")
        git(project, "checkout", "-q", ".")
    shown = dvc(project, EXP_SHOW)
    assert max(map(len, shown.splitlines())) <= COLUMNS
    assert "…" not in shown  # DVC narrows a table that does not fit until nothing is to be read
    for column in ("R.recall@1", "L.map@r", "irt.lambda", "irt.memory.start"):
        assert column in shown
    for name in EXPERIMENTS:
        assert f"[{name}]" in shown
    [row] = [line for line in shown.splitlines() if "[low-lambda]" in line]
    assert row.split()[-2:] == ["0.3", "50"]
