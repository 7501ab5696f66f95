"""Check all of params.yaml before anything is computed."""

import argparse
from pathlib import Path

from _stage import PARAMS, guarded

from fieldmark.base.files import write_text
from fieldmark.configuration.configuration import Configuration
from fieldmark.preflight.check import check_params


def main() -> None:
    check_params(Configuration.read(PARAMS))
    write_text(Path("data/params.checked"), "every block of params.yaml is known and in range\n")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    guarded(main)
