"""Gather the claims of all methods, with the value of each seed, into a page and a file. No part of the pipeline."""

import argparse
from pathlib import Path

from _stage import guarded

from fieldmark.base.files import write_json, write_text
from fieldmark.reporting.claims import collect_claims, render_claims

REPORTS = Path("reports")


def main(results: Path, folder: Path) -> None:
    table = collect_claims(results)
    write_text(folder / "claims.md", render_claims(table))
    write_json(folder / "claims.json", table.model_dump(mode="json"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results", metavar="FOLDER", type=Path, default=REPORTS / "results", help="what evaluations wrote"
    )
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=REPORTS, help="where to write")
    given = parser.parse_args()
    guarded(lambda: main(given.results, given.to))
