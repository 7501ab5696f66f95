"""Run the pipeline, or `dvc repro` with the arguments given, and say what each stage took. No part of the pipeline."""

import argparse
import sys
from pathlib import Path

from _stage import PARAMS, guarded, only_run

from fieldmark.running.jobs import chosen_jobs
from fieldmark.running.pipeline import reproduce


def main(jobs: int | None, arguments: list[str]) -> None:
    with only_run(Path()):
        sys.exit(reproduce(Path(), arguments, 1 if arguments else chosen_jobs(jobs, PARAMS)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, add_help=False, allow_abbrev=False)
    parser.add_argument("--jobs", type=int, help="branches side by side; without it, what suits the machine")
    given, rest = parser.parse_known_args()
    guarded(lambda: main(given.jobs, rest))
