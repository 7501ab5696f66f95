"""Say what a change does to verdicts, measures and parameters, on a page of Markdown. No part of the pipeline."""

import argparse
from pathlib import Path

from _stage import guarded

from fieldmark.base.files import write_text
from fieldmark.reporting.review import review
from fieldmark.reporting.revisions import Commit, WorkingTree


def main(base: str, head: str | None, output: Path | None) -> None:
    root = Path()
    page = review(Commit.named(root, base), WorkingTree(root) if head is None else Commit.named(root, head))
    if output is None:
        print(page, end="")
    else:
        write_text(output, page)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", help="the revision to compare with, such as main")
    parser.add_argument(
        "--head", metavar="REV", help="the revision to review; the working tree when not given"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="where to write the page; else it is printed"
    )
    given = parser.parse_args()
    guarded(lambda: main(given.base, given.head, given.output))
