"""The code of "Use one piece" in README.md runs as it is copied, and prints what it says."""

import re

import pytest
from support.pipeline import ROOT

from .names import NAMES

SECTION = (
    (ROOT / "README.md").read_text(encoding="utf-8").partition("## Use one piece\n")[2].partition("\n## ")[0]
)
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
PRINTED = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)


@pytest.mark.parametrize("code", BLOCKS, ids=["loss", "measure", "sampler"])
def test_a_block_runs_and_prints_what_it_says(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    expected = PRINTED.findall(code)
    assert expected
    assert capsys.readouterr().out.splitlines() == expected


def test_every_public_name_is_mentioned():
    absent = [name for _, name in NAMES if not re.search(rf"\b{name}\b", SECTION) and name != "load"]
    assert not absent, absent  # `load` has its place under "Your own photographs"
