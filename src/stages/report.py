"""Stage `report`: every metric, figure and validation in, one page and a summary out."""

import argparse
from pathlib import Path

from _stage import PARAMS, guarded

from fieldmark.base.blocks import read_yaml
from fieldmark.base.files import write_text
from fieldmark.reporting.build import build_readme_block, build_report
from fieldmark.reporting.summary import update_readme

REPORTS = Path("reports")
PREPARED = Path("data/prepared")
README = Path("README.md")


def report() -> None:
    """Write reports/index.html and reports/summary.md."""
    page, summary = build_report(REPORTS, PREPARED, read_yaml(PARAMS))
    write_text(REPORTS / "index.html", page)
    write_text(REPORTS / "summary.md", summary)


def readme() -> None:
    """Bring the numbers in README.md up to date with the metrics. No part of the pipeline."""
    block = build_readme_block(REPORTS, read_yaml(PARAMS))
    write_text(README, update_readme(README.read_text(encoding="utf-8"), block))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", action="store_true", help="write the numbers into README.md instead")
    guarded(readme if parser.parse_args().readme else report)
