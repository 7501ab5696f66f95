"""`fieldmark index`."""

import argparse
from pathlib import Path

from fieldmark.command.arguments import add_pictures

SUMMARY = "describe pictures once, so that they can be searched"
EXAMPLE = "fieldmark index models/irt/variants/R /my/photos -o photos.index"
KINDS = ("flat", "ivf", "hnsw")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    add_pictures(parser)
    parser.add_argument(
        "--kind",
        choices=KINDS,
        default=KINDS[0],
        help="flat: exact (the default); ivf and hnsw: faster from some 100,000 pictures on, not quite exact",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help="folder of the index; without it, the name of the pictures' folder with .index in the working folder",
    )


def run(given: argparse.Namespace) -> None:
    """Build and write the index, and print its recall against exact search."""
    import fieldmark  # torch takes seconds to import: not before --help
    from fieldmark.inference.pictures import Skipped, find_pictures
    from fieldmark.inference.vectors import embed_files
    from fieldmark.searching.index import NEIGHBOURS, PictureIndex, measured_recall, require_room

    folder = given.output or Path(f"{given.pictures[0].resolve().stem}.index")
    require_room(folder)
    paths, skipped = find_pictures(given.pictures), list[Skipped]()
    model = fieldmark.load(given.model)
    kept, vectors = embed_files(model, paths, skipped)
    index = PictureIndex.build(model, kept, vectors, given.kind)
    index.write(folder)
    print(f"{folder}: {len(kept)} pictures, {given.kind}; skipped {len(skipped)}")
    recall = measured_recall(index.index, vectors)
    if recall is not None:
        print(f"recall of the {min(NEIGHBOURS, len(kept) - 1)} nearest against exact search: {recall:.4f}")
