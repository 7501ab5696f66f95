"""`fieldmark embed`."""

import argparse
from pathlib import Path

from fieldmark.command.arguments import add_pictures

SUMMARY = "write a descriptor of each picture into a file"
EXAMPLE = "fieldmark embed models/irt/variants/R /my/photos -o vectors.npz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    add_pictures(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="vectors.npz (arrays paths and vectors) or vectors.parquet (columns path and vectors)",
    )


def run(given: argparse.Namespace) -> None:
    """Describe the pictures and write the file. Raises UserError for a model that classifies."""
    import fieldmark  # torch takes seconds to import: not before --help
    from fieldmark.inference.pictures import Skipped, find_pictures
    from fieldmark.inference.vectors import embed_files, require_ending, write_vectors

    require_ending(given.output)
    paths, skipped = find_pictures(given.pictures), list[Skipped]()
    kept, vectors = embed_files(fieldmark.load(given.model), paths, skipped)
    write_vectors(given.output, kept, vectors)
    print(
        f"{given.output}: {len(kept)} vectors of {vectors.shape[1]} numbers; skipped {len(skipped)} pictures"
    )
