"""`fieldmark`: parse the command line, run a subcommand, and show a mistake as one line."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from fieldmark.base.errors import UserError
from fieldmark.command import embed, export, index, predict, search

SUBCOMMANDS = (embed, predict, index, search, export)
DESCRIPTION = "Put trained models to work on your own pictures."
EPILOG = """MODEL is the folder of a trained model, such as models/irt/variants/R, or R/0 for its seed 0.

example:
  fieldmark index models/irt/variants/R /my/photos
  fieldmark search photos.index photo.jpg"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; each subcommand gives its function as `run`."""
    top = argparse.ArgumentParser(
        prog="fieldmark",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = top.add_subparsers(metavar="COMMAND", required=True)
    for module in SUBCOMMANDS:
        name = module.__name__.rpartition(".")[2]
        own = subparsers.add_parser(
            name,
            help=module.SUMMARY,
            description=f"{module.SUMMARY[0].upper()}{module.SUMMARY[1:]}.",
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(own)
        own.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Exits with status 1 after a mistake of the user, 2 for a wrong command line."""
    given = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", stream=sys.stderr
    )  # faiss says how it loads
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        _guarded(lambda: given.run(given))
    finally:
        signal.signal(signal.SIGTERM, before)  # a program that calls us has its own


def _guarded(action: Callable[[], None]) -> None:
    try:
        action()
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except BrokenPipeError:  # `fieldmark predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        file = f" ({error.filename})" if error.filename else ""
        sys.exit(f"error: {error.strerror or error}{file}")
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing was written")


def _stop(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM: end in order, so that no half-written file stays."""
    sys.exit(128 + number)
