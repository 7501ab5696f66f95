"""`fieldmark export`."""

import argparse
from pathlib import Path

from fieldmark.command.arguments import add_model

SUMMARY = "write a model as an ONNX file, and compare the file with the model"
EXAMPLE = "fieldmark export models/irt/variants/R -o model.onnx --pictures /my/photos"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    add_model(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file, such as model.onnx")
    parser.add_argument(
        "--pictures",
        type=Path,
        nargs="+",
        help="picture files, or folders, of which up to 32 pictures are compared; without it, random pictures",
    )


def run(given: argparse.Namespace) -> None:
    """Write and compare the file. Raises UserError for a model that needs text."""
    import fieldmark  # torch takes seconds to import: not before --help
    from fieldmark.exporting.onnx_file import export
    from fieldmark.exporting.shown import shown_pictures

    model = fieldmark.load(given.model)
    done = export(model, given.output, shown_pictures(model, given.pictures) if given.pictures else None)
    print(
        f"{given.output}: takes uint8 pictures (N, 3, {model.model.loaded.side}, {model.model.loaded.side})"
    )
    print(
        f"against PyTorch on {done.pictures} pictures: largest difference {done.difference:.1e}, "
        f"top {done.k} equal in {done.equal:.0%}"
    )
