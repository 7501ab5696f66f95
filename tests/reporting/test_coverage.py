"""What the papers describe: every preset and parameter that a row names exists, and the page is that of the tables."""

from pathlib import Path

import pytest
from preflight.test_presets import GIVEN
from support.asked import asked_for
from support.pipeline import ROOT

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import known_methods
from fieldmark.preflight.check import check_params
from fieldmark.reporting.coverage import Paper, read_papers, render_coverage

PAPERS = read_papers(ROOT / "papers")
ASKED = sorted({row.ask for paper in PAPERS.values() for row in paper.rows if row.ask})


def test_every_method_has_a_table():
    assert sorted(PAPERS) == known_methods()


@pytest.mark.parametrize("ask", ASKED)
def test_what_a_row_names_exists(ask):
    check_params(Configuration(asked_for(ask, GIVEN)))


@pytest.mark.parametrize("ask", ["pma.variants=[PMA-no-mask]", "irt.lamda=0.3"])
def test_what_does_not_exist_is_found(ask):
    with pytest.raises(UserError):
        check_params(Configuration(asked_for(ask, GIVEN)))


def test_the_page_is_that_of_the_tables():
    page = render_coverage(list(PAPERS.values()))
    assert (ROOT / "reports/coverage.md").read_text() == page, "run `make coverage`"
    bars = {line.replace("\\|", "").count("|") for line in page.splitlines() if line.startswith("|")}
    assert bars == {6, 7}


def test_rows_are_counted_and_ask_as_a_command_does():
    rows = [
        {"what": "a", "where": "§1", "ask": "irt-cub200 irt.lambda=0.3"},
        {"what": "b", "where": "§2", "ask": "", "state": "in part", "why": "half"},
        {"what": "c|d", "where": "§3", "state": "left out", "why": "code of their own"},
    ]
    page = render_coverage([Paper.model_validate({"title": "T", "rows": rows})])
    assert "| T | 3 | 1 | 1 | 0 | 1 |\n| all | 3 | 1 | 1 | 0 | 1 |" in page
    assert "| a | §1 | `irt-cub200` `irt.lambda=0.3` | here |  |" in page
    assert "| b | §2 | the default run | in part | half |" in page
    assert "| c\\|d | §3 | – | left out | code of their own |" in page


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"ask": "irt-cub200", "state": "in part"}, "say why 'a' is in part"),
        ({}, "say how to ask for 'a'"),
        ({"ask": "", "state": "missing", "why": "x"}, "say how to ask for 'a', unless it is missing"),
        ({"ask": "", "stat": "here"}, r"unknown parameter .*irt\.yaml\.rows\.0\.stat"),
    ],
)
def test_a_row_that_says_too_little_is_refused(row, message, tmp_path: Path):
    (tmp_path / "irt.yaml").write_text(f"title: T\nrows:\n  - {{what: a, where: '§1'{shown(row)}}}\n")
    with pytest.raises(UserError, match=message) as caught:
        read_papers(tmp_path)
    assert "irt.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def shown(row):
    return "".join(f", {key}: '{value}'" for key, value in row.items())
