"""Write reports/coverage.md: what the papers describe, and how to ask for it here. This is no part of the pipeline."""

import argparse
from pathlib import Path

from _stage import guarded

from fieldmark.base.files import write_text
from fieldmark.reporting.coverage import read_papers, render_coverage


def main() -> None:
    papers = read_papers(Path("papers"))
    write_text(Path("reports/coverage.md"), render_coverage(list(papers.values())))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    guarded(main)
