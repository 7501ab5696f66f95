"""`fieldmark predict`."""

import argparse
import sys
from pathlib import Path

from fieldmark.command.arguments import add_pictures, positive

SUMMARY = "say which class each picture shows, or which several"
EXAMPLE = "fieldmark predict models/pma/students/student /my/photos --top 3 -o predictions.csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    add_pictures(parser)
    parser.add_argument("-o", "--output", type=Path, help="a CSV file; without it, a table is printed")
    parser.add_argument("--csv", action="store_true", help="print CSV in place of a table")
    parser.add_argument(
        "--top",
        type=positive,
        metavar="K",
        help="the K likeliest classes; without it, the classes said to be present",
    )


def run(given: argparse.Namespace) -> None:
    """Classify the pictures and print or write the rows. Raises UserError for a model that does not classify."""
    import fieldmark  # torch takes seconds to import: not before --help
    from fieldmark.base.files import write_text
    from fieldmark.inference.classes import as_csv, as_table, predict_files
    from fieldmark.inference.pictures import Skipped, find_pictures

    paths, skipped = find_pictures(given.pictures), list[Skipped]()
    rows = list(predict_files(fieldmark.load(given.model), paths, skipped, given.top))
    if given.output:
        write_text(given.output, as_csv(rows))
        print(f"{given.output}: {len(paths) - len(skipped)} pictures; skipped {len(skipped)}")
    else:
        sys.stdout.write(as_csv(rows) if given.csv else as_table(rows))
