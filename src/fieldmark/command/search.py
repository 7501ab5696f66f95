"""`fieldmark search`."""

import argparse
from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.command.arguments import positive

SUMMARY = "find the pictures of an index that are most like a photo"
EXAMPLE = "fieldmark search photos.index photo.jpg --k 10 --sheet sheet.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `run` reads."""
    parser.add_argument("index", type=Path, metavar="INDEX", help="folder that `fieldmark index` has made")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PHOTO", help="what to search for")
    parser.add_argument("--k", type=positive, default=10, help="how many pictures to find (10)")
    sheet = parser.add_mutually_exclusive_group()
    sheet.add_argument(
        "--sheet", type=Path, default=Path("sheet.html"), help="page with thumbnails (sheet.html)"
    )
    sheet.add_argument("--no-sheet", dest="sheet", action="store_const", const=None, help="print only")
    parser.add_argument("--model", type=Path, help="where the index's model lies now, if it was moved since")


def run(given: argparse.Namespace) -> None:
    """Print what is nearest and write the sheet. Raises UserError when the model has changed since the index."""
    import fieldmark  # torch takes seconds to import: not before --help
    from fieldmark.searching.index import PictureIndex
    from fieldmark.searching.sheet import Answer, write_sheet
    from fieldmark.trained import read_pixels

    index = PictureIndex.read(given.index)
    place = given.model or Path(index.about.model)
    if not place.is_dir():
        raise UserError(f"there is no model {place}; say with --model where it lies now")
    model = fieldmark.load(place)
    index.require_model(model)
    pixels = [read_pixels(path) for path in given.pictures]
    found = index.search(model.embed(pixels).float().numpy(), given.k)
    answers = [Answer(*one) for one in zip(given.pictures, pixels, found, strict=True)]
    for answer in answers:
        print(f"{answer.query}\n  rank  similarity  picture")
        for rank, one in enumerate(answer.found, 1):
            print(f"  {rank:4}  {one.similarity:10.4f}  {one.path}")
    if given.sheet:
        write_sheet(given.sheet, answers, f"Nearest pictures in {given.index.name}")
        print(f"sheet: {given.sheet}")
