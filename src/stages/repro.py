"""Run `dvc repro` with the arguments given, and say what each stage took. This is no part of the pipeline."""

import sys
from pathlib import Path

from _stage import guarded

from fieldmark.running.pipeline import reproduce


def main() -> None:
    sys.exit(reproduce(Path(), sys.argv[1:]))


if __name__ == "__main__":
    guarded(main)
