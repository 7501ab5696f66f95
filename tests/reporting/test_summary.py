"""The Markdown summary and the README's block: short, escaped, replaceable."""

import pytest
from reporting.example import HOSTILE, PARAMS

from fieldmark.base.errors import UserError
from fieldmark.reporting.build import build_readme_block, build_report
from fieldmark.reporting.formatting import markdown
from fieldmark.reporting.summary import update_readme


def unescaped_bars(line):
    return line.replace("\\|", "").count("|")


def test_tables_keep_their_columns_under_hostile_names(root):
    _, summary = build_report(root / "reports", root / "data/prepared", PARAMS)
    lines = summary.splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {unescaped_bars(line) for line in rows if line.startswith(("| variant", "| R", "| L"))} == {4}
    assert {unescaped_bars(line) for line in rows if line.startswith(("| method", "| irt"))} == {6}
    assert "<script" not in summary
    assert len(lines) < 40


def test_numbers_and_verdicts_are_there(root):
    _, summary = build_report(root / "reports", root / "data/prepared", PARAMS)
    for expected in (
        "**65.5** (64.0 – 67.0)", "| 31 |", "✓ holds in this run", "✗ does not hold in this run",
        "? undecided in this run", "not measured",
        "1 holds, 1 does not hold, 1 undecided", "Not evaluated yet: frpt.",
        "+3.5 points, 95 % interval +1.2 to +5.8",
    ):  # fmt: skip
        assert expected in summary, expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", "a\\|b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("*_`[]~$", "\\*\\_\\`\\[\\]\\~\\$"),
        ("@user #12 recall@1", "&#64;user &#35;12 recall@1"),
        ("line\nbreak\ttab", "line break tab"),
        ("back\\slash", "back\\\\slash"),
    ],
)
def test_markdown_escapes(text, expected):
    assert markdown(text) == expected


def test_readme_block_is_replaced_in_place(root):
    block = build_readme_block(root / "reports", PARAMS)
    assert block.splitlines()[-1].endswith("R **65.5** · L 62.0 | 1 | 1 | 1 | 0 |")
    assert {unescaped_bars(line) for line in block.splitlines()} == {8}
    assert "<script" not in block
    before = "# Fieldmark\n<!-- numbers:begin -->\nold\n<!-- numbers:end -->\nrest\n"
    once = update_readme(before, block)
    assert once == f"# Fieldmark\n<!-- numbers:begin -->\n{block}\n<!-- numbers:end -->\nrest\n"
    assert update_readme(once, block) == once


def test_readme_block_needs_metrics_alone(tmp_path):
    assert build_readme_block(tmp_path, PARAMS) == "No method has been evaluated yet."


@pytest.mark.parametrize(
    "text", ["none", "<!-- numbers:begin -->", "<!-- numbers:end --> <!-- numbers:begin -->"]
)
def test_readme_without_markers_is_refused(text):
    with pytest.raises(UserError, match="numbers:begin"):
        update_readme(text, HOSTILE)
