"""Show every result, figure and validation on one page, the results in a summary, and each model on a card."""

import argparse
from pathlib import Path

from _stage import PARAMS, guarded

from fieldmark.base.blocks import read_yaml
from fieldmark.base.files import atomic_folder, write_text
from fieldmark.reporting.build import build_cards, build_readme_block, build_report
from fieldmark.reporting.claims import claims_table, read_claims
from fieldmark.reporting.plots import write_plots
from fieldmark.reporting.reading import read_methods, read_transfers
from fieldmark.reporting.summary import update_readme

REPORTS = Path("reports")
PREPARED = Path("data/prepared")
CLAIMS = REPORTS / "claims.json"
README = Path("README.md")


def report() -> None:
    """Write reports/index.html, reports/summary.md, the cards of the models and what `dvc plots` draws."""
    params = read_yaml(PARAMS)
    page, summary = build_report(REPORTS, PREPARED, params)
    write_text(REPORTS / "index.html", page)
    write_text(REPORTS / "summary.md", summary)
    scored = [*read_methods(REPORTS, params), *read_transfers(REPORTS, params).values()]
    with atomic_folder(REPORTS / "cards") as folder:
        build_cards(REPORTS, PREPARED, params, folder)
    write_plots(scored, REPORTS / "history", REPORTS / "plots")


def readme() -> None:
    """Bring the numbers and claims in README.md up to date with the results. No part of the pipeline."""
    text = README.read_text(encoding="utf-8")
    text = update_readme(text, build_readme_block(REPORTS, read_yaml(PARAMS)))
    if CLAIMS.exists():
        text = update_readme(text, claims_table(read_claims(CLAIMS).claims), "claims")
    write_text(README, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", action="store_true", help="write the numbers into README.md instead")
    guarded(readme if parser.parse_args().readme else report)
