"""The CI files: actions pinned, few permissions, nothing from outside pasted into a script."""

import os
import re
import subprocess

import pytest
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.preflight.presets import list_presets

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.y*ml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request):
    return request.param


def steps(path):
    return [step for job in read_yaml(path)["jobs"].values() for step in job["steps"]]


def test_exactly_these_workflows_are_here():
    assert [path.name for path in sorted(WORKFLOWS[0].parent.iterdir())] == [
        "ci.yaml",
        "gpu.yaml",
        "weekly.yaml",
    ]
    assert len(WORKFLOWS) == 3


def test_every_action_is_pinned_by_commit_with_its_version_beside(workflow):
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert all(PINNED.fullmatch(action) for action in used), used
    written = re.findall(r"uses: (\S+)( # v\d+\.\d+\.\d+)?$", workflow.read_text(), re.MULTILINE)
    assert len(written) == len(used)
    assert all(version for _, version in written), written


def test_one_action_has_one_commit():
    commits = dict(step["uses"].split("@") for path in WORKFLOWS for step in steps(path) if "uses" in step)
    for path in WORKFLOWS:
        for step in steps(path):
            name, _, commit = step.get("uses", "").partition("@")
            assert not name or commits[name] == commit


def test_permissions_are_declared_and_few(workflow):
    content = read_yaml(workflow)
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        granted = {name for name, right in job.get("permissions", {}).items() if right == "write"}
        assert granted <= {"pull-requests"}
        assert "timeout-minutes" in job
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_expression_is_pasted_into_a_script(workflow):
    for step in steps(workflow):
        for script in (step.get("run", ""), step.get("with", {}).get("script", "")):
            assert "${{" not in script


def test_ci_covers_the_pythons_that_the_project_names():
    tested = read_yaml(ROOT / ".github/workflows/ci.yaml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("step", [one for path in WORKFLOWS for one in steps(path) if "run" in one], ids=str)
def test_scripts_are_valid_bash(step):
    done = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_form(tmp_path, **form):
    """The script of the form's step, with commands that print their arguments in place of the real ones."""
    [script] = [step["run"] for step in steps(WORKFLOWS[1]) if step.get("name") == "Run"]
    for name in ("python", "dvc"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "{name}"; printf " <%s>" "$@"; echo\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SETTINGS": "", "NAME": "", **form},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_form_of_the_gpu_run_reaches_the_commands_as_plain_arguments(tmp_path):
    form = {"PRESET": "irt-cub200", "SETTINGS": "irt.lambda=0.3 x=$(touch${IFS}hacked)", "NAME": "a; touch b"}
    assert run_form(tmp_path, **form) == [
        "python <src/stages/preset.py> <--> <irt-cub200> <irt.lambda=0.3> <x=$(touch${IFS}hacked)>",
        "dvc <exp> <run> <--pull> <--name=a; touch b>",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc", "python"]


def test_none_in_the_form_leaves_the_parameters_as_they_are(tmp_path):
    assert run_form(tmp_path, PRESET="none") == ["dvc <exp> <run> <--pull>"]
    assert run_form(tmp_path, PRESET="none", SETTINGS="irt.lambda=0.3")[0] == (
        "python <src/stages/preset.py> <--> <irt.lambda=0.3>"
    )


def test_the_form_of_the_gpu_run_offers_every_preset_and_first_the_one_for_a_gpu():
    choice = read_yaml(WORKFLOWS[1])["on"]["workflow_dispatch"]["inputs"]["preset"]
    first, second, *others = choice["options"]
    assert (choice["type"], first, choice["default"], second) == ("choice", "world-gpu", "world-gpu", "none")
    assert others == sorted(list_presets(ROOT / "presets").keys() - {first})


def test_the_comment_of_the_gpu_run_has_its_results_and_fits_into_one():
    """The page of all results with every claim, and the review, each cut to half of GitHub's 65,536 characters."""
    [script] = [step["with"]["script"] for step in steps(WORKFLOWS[1]) if "script" in step.get("with", {})]
    posted = re.findall(r'read\("([\w./]+)"\)', script)
    [cut] = re.findall(r"slice\(0, (\d+)\)", script)
    assert posted == ["reports/summary.md", "review.md"]
    assert len(posted) * int(cut) < 65_000
    assert f"cat {' '.join(posted)} >>" in scripts("gpu.yaml")


def scripts(name):
    return "\n".join(step.get("run", "") for step in steps(ROOT / ".github/workflows" / name))


@pytest.mark.parametrize("name", ["ci.yaml", "gpu.yaml"])
def test_what_changed_is_posted_as_a_review(name):
    """The page of `make review`, not DVC's tables, which have neither verdicts nor intervals."""
    assert "src/stages/review.py" in scripts(name)
    assert "metrics diff" not in scripts(name)
    assert "params diff" not in scripts(name)
    [checkout] = [
        step
        for step in steps(ROOT / ".github/workflows" / name)
        if "checkout" in step.get("uses", "") and step["with"].get("fetch-depth") == 0
    ]
    assert checkout


def test_the_review_is_of_the_branch_that_a_pull_request_goes_to(tmp_path):
    """The script of ci.yaml's last step, with commands that print their arguments in place of the real ones."""
    script = steps(ROOT / ".github/workflows/ci.yaml")[-1]["run"]
    for name in ("python", "git"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "{name}"; printf " <%s>" "$@"; echo\n')
        (tmp_path / name).chmod(0o755)

    def posted(**variables):
        path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": "page.md"}
        subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env={**path, **variables}, check=True)
        page = (tmp_path / "page.md").read_text()
        (tmp_path / "page.md").unlink()
        return page

    assert posted(GITHUB_BASE_REF="main") == "python <src/stages/review.py> <--> <origin/main>\n"
    assert posted(BEFORE="0123abc") == "python <src/stages/review.py> <--> <0123abc>\n"
    (tmp_path / "git").write_text("#!/bin/sh\nexit 1\n")
    assert posted(BEFORE="0000000") == "python <src/stages/review.py> <--> <HEAD>\n"


def test_the_weekly_run_takes_what_pyproject_allows_and_tests_it():
    content = read_yaml(ROOT / ".github/workflows/weekly.yaml")
    assert content["on"].keys() == {"schedule", "workflow_dispatch"}
    [schedule] = content["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \d", schedule["cron"])
    written = scripts("weekly.yaml")
    assert "pip install --group dev --editable ." in written
    assert "requirements.lock" not in written
    assert "make " not in written  # its targets install the lock file
    [test] = [
        step for step in steps(ROOT / ".github/workflows/weekly.yaml") if "pytest" in step.get("run", "")
    ]
    assert not test.get("continue-on-error")


def test_ci_run_is_a_script_that_lints_and_tests():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"lint", "test"} <= set(targets)
    assert "for target in lint test" in script.read_text()
