"""The real dvc.yaml and code, run in a folder of their own on a tiny world.

The tests share the folder and come in any order: each leaves it up to date. One process should run them all
(`--dist loadfile`), for the first run is what takes the time.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.clone import PLACEHOLDERS
from support.pipeline import ROOT, TINY_PARAMS

from fieldmark.preflight.presets import with_settings

ALL = {
    *("check", "download@birds", "prepare@birds", "split@retrieval", "split@classes", "split@others"),
    *("validate@birds", "transfer@others"),
    *("describe@birds", "phrases@birds", "pretrain@vit", "clip@tiny", "prompts@birds", "train@irt"),
    *("score_backbone@vit", "score_clip@tiny", "score_prompts@birds"),
    *("arm@average", "evaluate@irt", "train@pma", "distill@pma", "evaluate@pma", "report"),
}
RUNNING = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)


def environment(folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(folder / "src"),
        "DVC_NO_ANALYTICS": "true",
        "OMP_NUM_THREADS": "1",  # tiny work: threads cost more than they bring
    }


def command(folder, *arguments):
    return subprocess.run(
        arguments, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )


def dvc(folder, *arguments):
    return command(folder, sys.executable, "-m", "dvc", *arguments)


def repro(folder, *arguments):
    """Run `dvc repro`; return the names of the stages that ran. Fails with DVC's output."""
    done = dvc(folder, "repro", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(RUNNING.findall(done.stdout))


def change(folder, *settings):
    path = folder / "params.yaml"
    path.write_text(with_settings(path.read_text(), settings))


def contents(folder, *patterns):
    """Return the SHA-256 of every file that matches."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone as a newcomer has it, with tiny parameters and nothing computed."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    copied = ("dvc.yaml", ".gitignore", ".dvcignore", ".dvc/config", ".dvc/.gitignore", *PLACEHOLDERS)
    for name in copied:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    (folder / "params.yaml").write_text(TINY_PARAMS)
    for arguments in (["init", "-q"], ["add", "-A"], [*author(), "commit", "-qm", "clone"]):
        assert command(folder, "git", *arguments).returncode == 0
    return folder


def author():
    return ["-c", "user.name=tester", "-c", "user.email=tester@example.org"]


@pytest.fixture(scope="module")
def first(project):
    return repro(project)


def test_the_whole_pipeline_runs(project, first):
    assert first == ALL
    for name in (
        "index.html",
        "summary.md",
        "metrics/irt.json",
        "metrics/pma.json",
        "results/irt.json",
        "results/pma.json",
        "validation/birds.json",
        *(f"{kind}/backbones/vit.json" for kind in ("metrics", "results")),
        *(f"{kind}/clip_models/tiny.json" for kind in ("metrics", "results")),
        *(f"{kind}/prompts/birds.json" for kind in ("metrics", "results")),
        *(f"{kind}/difficulty/birds.json" for kind in ("metrics", "results")),
        "results/audit/birds.json",
        "results/phrases/birds.json",
        "cards/irt/average.md",
        "cards/pma/student.md",
        *(f"{kind}/transfer/others.json" for kind in ("metrics", "results")),
        "plots/variants.csv",
        "plots/losses.csv",
    ):
        assert (project / "reports" / name).stat().st_size > 0
    assert (project / "models/irt/variants/R/0/model.json").exists()
    assert (project / "models/irt/arms/average/0/model.json").exists()
    assert (project / "reports/history/arms/average/0.csv").exists()
    assert (
        "fieldmark.load('models/irt/arms/average/0')"
        in (project / "reports/cards/irt/average.md").read_text()
    )
    rows = json.loads((project / "reports/results/irt.json").read_text())["variants"]
    assert [row["name"] for row in rows] == ["O", "L", "R", "average"]
    assert rows[-1]["title"] == "contrastive; pooling average; margin 0.3"
    assert (project / "models/pma/students/student/0/model.json").exists()
    assert (project / "data/text/prompts/birds/prompts.json").exists()
    assert not list((project / ".resume").glob("*"))  # complete runs leave no state behind


def test_again_runs_nothing(project, first):
    assert repro(project) == set()


def test_git_sees_metrics_and_summary_and_no_data(project, first):
    shown = command(project, "git", "status", "--porcelain", "--untracked-files=all").stdout.splitlines()
    seen = {line[3:] for line in shown}
    assert {"dvc.lock", "reports/summary.md", "reports/metrics/irt.json", "reports/results/irt.json"} <= seen
    kept_by_dvc = ("data/", "models/", "reports/figures/", "reports/index.html", "src/")
    assert not [path for path in seen if path.startswith(kept_by_dvc)]


def test_training_again_gives_identical_models_and_metrics(project, first):
    written = "models/**/*", "reports/metrics/*", "reports/results/*", "reports/history/**/*"
    before = contents(project, *written)
    shutil.rmtree(project / ".dvc" / "cache" / "runs")  # else the earlier run is taken from there
    ran = repro(project, "--force", "--single-item", "train@irt", "evaluate@irt")
    assert ran == {"train@irt", "evaluate@irt"}
    assert contents(project, *written) == before


def test_a_changed_lambda_reruns_irt_alone(project, first):
    change(project, "irt.lambda=0.3")
    concerned = {"check", "train@irt", "arm@average", "evaluate@irt", "transfer@others", "report"}
    assert repro(project) == concerned
    diff = dvc(project, "params", "diff", "--md")
    assert "irt.lambda" in diff.stdout, diff.stderr


@pytest.mark.slow
def test_a_changed_arm_reruns_it_and_the_scores_alone(project, first):
    change(project, "arms.average.change.margin=0.2")
    judged = {"evaluate@irt", "evaluate@pma", "transfer@others"}
    assert repro(project) == {"check", "arm@average", *judged, "report"}


def test_a_changed_temperature_reruns_the_students_alone(project, first):
    change(project, "distill.pma.temperature=2.0")
    assert repro(project) == {"check", "distill@pma", "evaluate@pma", "report"}


@pytest.mark.slow
def test_a_clip_for_phrases_reruns_those_and_who_reads_them(project, first):
    change(project, "phrases.birds.clip=tiny", "pma.phrase_encoder=clip")
    ran = {"check", "phrases@birds", "train@pma", "distill@pma", "evaluate@pma", "report"}
    assert repro(project) == ran
    assert (project / "data/text/phrases/birds/vectors.safetensors").exists()


def test_a_runtime_setting_reruns_nothing_but_the_check_and_the_page(project, first):
    change(project, "runtime.checkpoint_seconds=5")
    assert repro(project) == {"check", "report"}


def test_a_misspelt_parameter_stops_before_anything_is_computed(project, first):
    right = (project / "params.yaml").read_text()
    change(project, "irt.lamda=0.1", "irt.margin=0.4")
    done = dvc(project, "repro")
    (project / "params.yaml").write_text(right)
    assert done.returncode != 0
    assert RUNNING.findall(done.stdout) == ["check"]
    assert "error: unknown parameter irt.lamda; did you mean 'lambda'?\n" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def touched(folder, file):
    """Return the stages that would run after a change in the code of `file`; the file is put back."""
    path = folder / "src/fieldmark" / file
    text = path.read_text()
    path.write_text(text + "\n")
    done = dvc(folder, "status", "--json")
    path.write_text(text)
    assert done.returncode == 0, done.stderr
    return {name for name in json.loads(done.stdout) if name != "check"}


def test_code_reruns_the_stages_that_run_it_and_no_training_for_what_is_drawn_or_scored(project, first):
    repro(project)
    assert touched(project, "reporting/templates/style.css") == {"report"}
    scoring = touched(project, "protocols/dense.py")
    assert scoring == {"evaluate@irt", "evaluate@pma", "transfer@others"}
    assert touched(project, "datasets/checking/facts.py") == {"validate@birds"}
    assert touched(project, "methods/irt/model/losses.py") == {
        "train@irt",
        "arm@average",
        "evaluate@irt",
        "transfer@others",
    }
    assert touched(project, "scoring/backbones.py") == {
        "score_backbone@vit",
        "score_clip@tiny",
        "score_prompts@birds",
    }
    drawn = touched(project, "figures/style.py")
    assert not [name for name in drawn if name.startswith(("pretrain", "clip@", "train", "arm", "distill"))]


@pytest.mark.slow
def test_a_killed_training_goes_on_after_a_chart_has_changed(project, first):
    change(project, "irt.train.steps=600", "runtime.checkpoint_seconds=0")
    state = project / ".resume/irt"
    training = subprocess.Popen(
        [sys.executable, "src/stages/train.py", "irt"],
        cwd=project,
        env=environment(project),
        stderr=subprocess.PIPE,
    )
    while not list(state.glob("L/0/*/state.pt")):
        assert training.poll() is None
        time.sleep(0.05)
    training.kill()
    training.communicate()
    kept = {path.parent.name for path in state.glob("L/0/*/state.pt")}
    chart = project / "src/fieldmark/figures/charts.py"
    text = chart.read_text()
    chart.write_text(text + "\n")
    done = command(project, sys.executable, "src/stages/train.py", "irt")
    chart.write_text(text)
    assert done.returncode == 0, done.stderr
    [begun] = [int(line) for line in re.findall(r"^irt-L-0: .*\| (\d+)/4800", done.stderr, re.MULTILINE)[:1]]
    assert begun > 0, done.stderr
    assert len(kept) == 1
