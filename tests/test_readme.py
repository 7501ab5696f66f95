"""What README.md names exists."""

import re
import subprocess

import pytest
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.preflight.presets import list_presets
from fieldmark.reporting.build import build_readme_block
from fieldmark.reporting.summary import update_readme

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_and_paths_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        file, _, place = target.partition("#")
        assert target.startswith("https://") or (ROOT / file).exists(), target
        if place and not target.startswith("https://"):
            assert place in places((ROOT / file).read_text(encoding="utf-8")), target
    for path in re.findall(r"(?:src|presets|\.ci)/[\w./-]*\w", README):
        assert (ROOT / path).exists(), path


def places(text):
    """Return the names that links have for the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_commands_exist():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake (\w+)", README)) <= set(targets)
    assert set(re.findall(r"PRESET=([\w-]+)", README)) <= list_presets(ROOT / "presets").keys()
    drawn = set(re.findall(r"--> (\w+)", README.partition("```mermaid")[2].partition("```")[0]))
    assert drawn | {"check"} == {*read_yaml(ROOT / "dvc.yaml")["stages"]}


def test_the_numbers_have_their_place():
    assert "\nhere\n" in update_readme(README, "here")


def test_the_numbers_are_those_of_the_committed_results():
    status = ["git", "status", "--porcelain", "reports/results", "params.yaml", "README.md"]
    changed = subprocess.run(status, cwd=ROOT, capture_output=True, text=True)
    if changed.returncode or changed.stdout:
        pytest.skip("an experiment has changed the results; `make report` writes them into README.md")
    block = build_readme_block(ROOT / "reports", read_yaml(ROOT / "params.yaml"))
    assert update_readme(README, block) == README, "run `make report` and commit README.md"
