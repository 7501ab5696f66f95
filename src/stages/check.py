"""Check all of params.yaml before anything is computed."""

import argparse
from pathlib import Path

from _stage import PARAMS, guarded

from fieldmark.base.files import write_text
from fieldmark.configuration.configuration import Configuration
from fieldmark.preflight.check import check_params
from fieldmark.weights.digests import write_digests


def main() -> None:
    configuration = Configuration.read(PARAMS)
    check_params(configuration)
    write_digests(configuration, Path("data/weights"))
    write_text(Path("data/params.checked"), "every block of params.yaml is known and in range\n")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    guarded(main)
