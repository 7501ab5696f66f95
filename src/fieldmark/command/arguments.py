"""Arguments that several subcommands have."""

import argparse
from pathlib import Path


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument `model`."""
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="folder of a trained model, such as models/irt/variants/R"
    )


def add_pictures(parser: argparse.ArgumentParser) -> None:
    """Add the positional arguments `model` and `pictures`."""
    add_model(parser)
    parser.add_argument(
        "pictures", type=Path, nargs="+", metavar="PICTURES", help="picture files, and folders of them"
    )


def positive(text: str) -> int:
    """Return a whole number of at least 1; argparse refuses anything else."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
