"""A sheet of what was found: one HTML file with the pictures in it, which opens anywhere."""

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fieldmark.base.errors import UserError
from fieldmark.base.files import write_text
from fieldmark.evaluation.arrays import Array
from fieldmark.figures.sheets import Cell, picture_sheet
from fieldmark.searching.index import Found
from fieldmark.trained import read_pixels

ABSENT = np.full((64, 64, 3), 238, np.uint8)  # in place of a picture that is no longer there
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #202124; margin: 2rem auto; max-width: 90rem; padding: 0 1rem }
.pictures { overflow-x: auto }
table { border-collapse: collapse; margin-top: 1rem }
th, td { text-align: left; padding: .15rem 1.2rem .15rem 0; overflow-wrap: anywhere }
td:nth-child(-n+2) { font-variant-numeric: tabular-nums }
"""


class Answer(NamedTuple):
    """A picture that was searched, its pixels (H, W, 3) uint8, and what was found, the most alike first."""

    query: Path
    pixels: Array
    found: Sequence[Found]


def write_sheet(path: Path, answers: Sequence[Answer], title: str) -> None:
    """Write the sheet, atomically: for each query a row of thumbnails, and a table with similarities and paths."""
    body = "".join(_section(number, answer) for number, answer in enumerate(answers))
    write_text(
        path,
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{escape(title)}</h1>\n{body}</body></html>\n",
    )


def _section(number: int, answer: Answer) -> str:
    rows = "".join(
        f"<tr><td>{rank}</td><td>{one.similarity:.3f}</td><td>{_link(one.path)}</td></tr>\n"
        for rank, one in enumerate(answer.found, 1)
    )
    return (
        f"<h2>{escape(answer.query.name)}</h2>\n"
        f'<div class="pictures">{_drawn(number, answer)}</div>\n'
        f"<table><thead><tr><th>rank</th><th>similarity</th><th>picture</th></tr></thead>\n"
        f"<tbody>{rows}</tbody></table>\n"
    )


def _drawn(number: int, answer: Answer) -> str:
    """Return the thumbnails as SVG, the query first; names in it are those of no other drawing of the page."""
    cells = [Cell(answer.pixels, "searched", answer.query.name)]
    cells += [Cell(_pixels(one.path), f"{one.similarity:.3f}", one.path.parent.name) for one in answer.found]
    with tempfile.TemporaryDirectory() as folder:
        picture_sheet(Path(folder) / "sheet.svg", [cells], lead=True)
        svg = (Path(folder) / "sheet.svg").read_text(encoding="utf-8")
    return svg.replace('id="p', f'id="q{number}-').replace('href="#p', f'href="#q{number}-')


def _pixels(path: Path) -> Array:
    try:
        return read_pixels(path)
    except UserError:
        return ABSENT


def _link(path: Path) -> str:
    return f'<a href="{escape(path.absolute().as_uri())}">{escape(str(path))}</a>'
