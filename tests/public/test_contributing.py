"""CONTRIBUTING.md shows the example as it is run, and names what exists."""

import re

import pytest
from architecture.test_layers import LAYERS
from support.pipeline import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SIXTH = ROOT / "tests/support/sixth"
METHOD = "src/fieldmark/methods/proxy"
SHOWN = dict(re.findall(r"^`([^`\n]+)`\n\n```(?:python|yaml)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
FILES = {
    "params.yaml": SIXTH / "params.yaml",
    **{f"{METHOD}/{path.relative_to(SIXTH / 'proxy').as_posix()}": path for path in SIXTH.rglob("*.py")},
}


def test_every_file_of_the_example_is_shown_and_no_other():
    assert SHOWN.keys() == FILES.keys()
    assert len(re.findall(r"^```(?:python|yaml)$", TEXT, re.MULTILINE)) == len(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_code_is_that_of_the_file(name):
    assert SHOWN[name] == FILES[name].read_text(encoding="utf-8")


def test_the_layers_are_those_that_hold():
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert [frozenset(re.findall(r"`([^`]+)`", row)) for row in rows] == list(LAYERS)


def test_paths_and_commands_exist():
    for path in re.findall(r"(?:src|tests|\.ci)/[\w./-]*\w", TEXT):
        assert (ROOT / path).exists() or path.startswith(METHOD), path
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE)) <= set(targets)
