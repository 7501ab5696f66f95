"""The report as a whole: files in, page and summary out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.reporting.cards import write_cards
from fieldmark.reporting.page import render_page
from fieldmark.reporting.reading import read_methods, read_results
from fieldmark.reporting.summary import readme_block, render_summary


def build_report(reports: Path, prepared: Path, params: Mapping[str, Any]) -> tuple[str, str]:
    """Return (HTML page, Markdown summary) of what `reports` and `prepared` hold.

    `reports` has results/, figures/ and validation/, `prepared` a folder per data set; all may
    be absent. `params` is `params.yaml` as read. Raises UserError naming the file and key that is malformed.
    """
    results = read_results(reports, prepared, params)
    return render_page(results), render_summary(results)


def build_cards(reports: Path, prepared: Path, params: Mapping[str, Any], folder: Path) -> None:
    """Write a card of each trained model to `folder`, of what `build_report` reads."""
    write_cards(read_results(reports, prepared, params), folder)


def build_readme_block(reports: Path, params: Mapping[str, Any]) -> str:
    """Return the block of numbers for the README, from the results in `reports` alone."""
    return readme_block(read_methods(reports, params))
