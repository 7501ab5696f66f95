"""The script that runs a preset in a copy, on a pipeline of one stage."""

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

SCRIPT = ROOT / "src/stages/in_copy.py"
PIPELINE = """\
stages:
  report:
    cmd: mkdir -p reports && cp params.yaml reports/index.html
    deps: [params.yaml]
    outs: [reports/index.html]
"""
PARAMS = "irt: {dim: 5}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/small.yaml").write_text("# Small\nnote: It means nothing.\nirt: {dim: 1}\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / ".gitignore").write_text(".copies/\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    Repo.init(str(tmp_path)).close()
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True)
    return tmp_path


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_a_preset_runs_in_a_copy_and_goes_on_there(root: Path) -> None:
    first = run(root, "demo", "small")
    assert first.returncode == 0, first.stderr
    assert "Running stage 'report'" in first.stdout
    place = first.stdout.index("Open .copies/demo/reports/index.html")
    assert place < first.stdout.index("It means nothing.")
    assert "dim: 1" in (root / ".copies/demo/reports/index.html").read_text()
    assert (root / "params.yaml").read_text() == PARAMS
    assert not (root / "reports").exists()
    again = run(root, "demo", "small")
    assert (again.returncode, "Running stage" in again.stdout) == (0, False)
    changed = run(root, "demo", "small", "irt.dim=2")
    assert "Running stage 'report'" in changed.stdout
    assert "dim: 2" in (root / ".copies/demo/reports/index.html").read_text()


def test_claims_are_run_from_each_seed_in_a_copy(root: Path) -> None:
    params = "methods: {irt: {}}\nirt: {dim: 5, seeds: [0]}\ndistill: {irt: {seeds: [1]}}\n"
    (root / "params.yaml").write_text(params)
    results = "mkdir -p reports/results && cp params.yaml reports/index.html && cp irt.json reports/results"
    (root / "dvc.yaml").write_text(
        PIPELINE.replace("mkdir -p reports && cp params.yaml reports/index.html", results)
    )
    write(root / "irt.json", method_result("irt"))
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    command = [sys.executable, str(SCRIPT.with_name("claims.py")), "irt.dim=2", "--seeds", "3", "4"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    used = read_yaml(root / ".copies/claims/reports/index.html")
    assert used["irt"] == {"dim": 2, "seeds": [3, 4]}
    assert used["distill"]["irt"]["seeds"] == [1003, 1004]
    assert (root / "params.yaml").read_text() == params
    assert len(read_claims(root / "reports/claims.json").claims) == 3
    assert (root / "reports/claims.md").exists()


def test_what_is_wrong_is_told_in_one_line(root: Path) -> None:
    done = run(root, "demo", "smal")
    assert (done.returncode, done.stderr) == (
        1,
        "error: there is no preset 'smal'; did you mean 'small'? (`make presets` says what each is)\n",
    )
    assert not (root / ".copies").exists()
    done = run(root, "demo", "small", "--jobs", "0")
    assert (done.returncode, done.stderr) == (
        1,
        "error: JOBS is 0; it is how many branches run side by side, at least 1\n",
    )


def test_a_run_that_fails_shows_no_report(root: Path) -> None:
    (root / "dvc.yaml").write_text(PIPELINE.replace("mkdir", "false && mkdir"))
    done = run(root, "demo", "small")
    assert done.returncode != 0
    assert "index.html in a browser" not in done.stdout


@pytest.mark.parametrize("script", ["in_copy.py", "claims.py", "repro.py"])
def test_two_at_once_change_nothing_under_the_first(root: Path, script: str) -> None:
    """The first runs a stage that waits; the second is refused before it touches params.yaml of the copy."""
    waits = "touch started && while [ -f started ]; do sleep 0.05; done && mkdir"
    (root / "dvc.yaml").write_text(PIPELINE.replace("mkdir", waits))
    copy, arguments = {
        "in_copy.py": (root / ".copies/demo", ["demo"]),
        "claims.py": (root / ".copies/claims", ["--seeds", "3", "--copy", "claims"]),
        "repro.py": (root, []),
    }[script]
    command = [sys.executable, str(SCRIPT.with_name(script)), "--jobs", "1", *arguments]
    first = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while first.poll() is None and not (copy / "started").exists():
            time.sleep(0.05)
        before = (copy / "params.yaml").read_text()
        other = [] if script == "repro.py" else ["irt.dim=7"]
        second = subprocess.run([*command, *other], cwd=root, capture_output=True, text=True, check=False)
    finally:
        (copy / "started").unlink(missing_ok=True)
        first.wait()
    assert second.returncode == 1
    assert second.stderr.startswith(
        f"error: the pipeline in {copy} already runs here (process {first.pid} on "
    )
    assert second.stderr.count("\n") == 1
    assert (copy / "params.yaml").read_text() == before
    assert not (copy / ".resume/repro.lock").exists()


def test_killed_in_the_middle_it_goes_on(root: Path) -> None:
    """Of a stage that is killed with all that runs nothing is kept; what was done before is not done again."""
    done = "  first:\n    cmd: echo >> ../../times && echo > done\n    outs: [done]\n  report:\n"
    waits = "touch ../../started && while [ -f ../../waits ]; do sleep 0.05; done && mkdir"
    text = PIPELINE.replace("  report:\n", done).replace("deps: [params.yaml]", "deps: [params.yaml, done]")
    (root / "dvc.yaml").write_text(text.replace("mkdir", waits))
    (root / "waits").touch()
    command = [sys.executable, str(SCRIPT), "demo", "small"]
    killed = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, start_new_session=True)
    while killed.poll() is None and not (root / "started").exists():
        time.sleep(0.05)
    killed.kill()  # DVC and the stage live on for a moment, as groups of their own
    (root / "waits").unlink()
    killed.communicate()
    again = run(root, "demo", "small")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "dim: 1" in (root / ".copies/demo/reports/index.html").read_text()
    assert (root / "times").read_text() == "\n"
