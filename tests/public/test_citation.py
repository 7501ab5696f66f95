"""The papers of the house, as CITATION.cff names them, and its licence."""

import hashlib
import re
import tomllib

import pytest
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml

CITATION = read_yaml(ROOT / "CITATION.cff")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
APACHE_2 = (
    "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # of apache.org's LICENSE-2.0.txt
)


def test_the_project_is_named_as_in_its_packaging():
    assert CITATION["cff-version"] == "1.2.0"
    assert (CITATION["title"].lower(), CITATION["version"]) == (PROJECT["name"], PROJECT["version"])
    assert CITATION["message"]
    assert CITATION["authors"]


def test_there_are_five_papers():
    assert len({paper["title"] for paper in CITATION["references"]}) == 5


@pytest.mark.parametrize("paper", CITATION["references"], ids=lambda paper: paper["title"][:30])
def test_a_paper_has_authors_and_year(paper):
    assert paper["type"] in ("article", "conference-paper")
    assert 2020 <= paper["year"] <= 2024
    assert all(author["family-names"] and author["given-names"] for author in paper["authors"])
    assert len(paper["authors"]) >= 3
    assert "journal" in paper or "collection-title" in paper


def test_the_papers_are_those_of_the_methods_in_the_readme():
    linked = set(
        re.findall(r"arxiv\.org/abs/(\d{4}\.\d{5})", (ROOT / "README.md").read_text(encoding="utf-8"))
    )
    cited = {url.rpartition("/")[2] for paper in CITATION["references"] if "arxiv" in (url := paper["url"])}
    assert cited == linked
    assert len(cited) == 4  # PMA has no arXiv number


def test_the_licence_is_the_unmodified_text():
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    assert CITATION["license"] == PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]
