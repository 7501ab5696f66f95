"""Figures made of pictures: SVG sheets of JPEG thumbnails with captions that stay text."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.confusions import Confusion
from fieldmark.evaluation.retrieval import RetrievalResults
from fieldmark.files import write_text
from fieldmark.reporting.style import FONTS, INK, MUTED, RIGHT, WRONG

SIDE = 104  # of a picture on the sheet, in px
STORED_SIDE = 144  # of a thumbnail in the file, longer side
GAP = 12
LETTER = 6.8  # mean width of a bold letter at 11 px, in px
JPEG_QUALITY = 82

Picture = Callable[[int], Array]  # row -> (H, W, 3) uint8


@dataclass(frozen=True)
class Cell:
    """A picture (H, W, 3) uint8 with up to two lines below; `correct` frames it green or red."""

    picture: Array
    caption: str = ""
    detail: str = ""
    correct: bool | None = None


def picture_sheet(path: Path, rows: Sequence[Sequence[Cell]], lead: bool = False) -> None:
    """Write rows of cells as one SVG; `lead` sets the first column apart (a query and its answers).

    Without rows the sheet says that there is nothing to show.
    """
    columns = max((len(row) for row in rows), default=1)
    line = SIDE + (40 if any(cell.caption or cell.detail for row in rows for cell in row) else GAP)
    extra = GAP if lead else 0
    width, height = GAP + columns * (SIDE + GAP) + extra, GAP + max(len(rows), 1) * line
    parts = [
        _cell(cell, GAP + column * (SIDE + GAP) + (extra if column else 0), GAP + number * line)
        for number, row in enumerate(rows)
        for column, cell in enumerate(row)
    ]
    if not parts:
        parts = [f'<text x="{GAP}" y="{3 * GAP}" fill="{MUTED}">nothing to show</text>']
    write_text(
        path,
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="{escape(FONTS)}" font-size="11">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n',
    )


def neighbour_gallery(
    path: Path,
    results: RetrievalResults,
    queries: Iterable[int],
    picture: Picture,
    names: Mapping[Any, str] | None = None,
    gallery_picture: Picture | None = None,
    shown: int = 7,
) -> None:
    """Write queries (rows of `results`), each with its nearest neighbours and their similarity.

    `picture(row)` gives a query's picture, `gallery_picture(row)` a neighbour's (the same by default);
    `names` the name of a label. A frame is green and ticked where the label is right, red and crossed where not.
    """
    neighbour_picture = gallery_picture or picture
    rows = []
    for query in queries:
        row = [Cell(picture(query), _name(names, results.query_labels[query]), "query")]
        for place in range(min(shown, results.neighbours.shape[1])):
            found, correct = int(results.neighbours[query, place]), bool(results.correct[query, place])
            detail = "" if correct else _name(names, results.gallery_labels[found])
            similarity = f"{'✓' if correct else '✗'} {results.similarities[query, place]:.2f}"
            row.append(Cell(neighbour_picture(found), similarity, detail, correct))
        rows.append(row)
    picture_sheet(path, rows, lead=True)


def representative_queries(results: RetrievalResults, count: int = 6) -> list[int]:
    """Choose queries of different classes evenly from the worst average precision to the best.

    A fixed rule, so that nobody picks what looks good: valid queries sorted by average precision, cut into
    `count` equal parts, the middle of each taken, or the next one of a class not yet shown.
    """
    valid = np.flatnonzero(results.valid)
    order = valid[np.argsort(results.ap[valid], kind="stable")]
    chosen: list[int] = []
    for part in range(min(count, len(order))):
        start = int((part + 0.5) * len(order) / min(count, len(order)))
        candidates = np.roll(order, -start).tolist()
        seen = {results.query_labels[query] for query in chosen}
        fresh = [query for query in candidates if results.query_labels[query] not in seen]
        left = [query for query in candidates if query not in chosen]
        chosen.append((fresh or left)[0])
    return chosen


def confusion_pairs(
    path: Path,
    confusions: Sequence[Confusion],
    picture: Picture,
    names: Mapping[Any, str] | None = None,
    gallery_picture: Picture | None = None,
    pairs_in_a_row: int = 3,
) -> None:
    """Write the clearest case of each confusion side by side: the query, and what it was taken for."""
    neighbour_picture = gallery_picture or picture
    cells = []
    for one in confusions:
        share = f"{one.share:.0%} of queries:"
        cells.append(Cell(picture(one.query), _name(names, one.label), share))
        cells.append(
            Cell(
                neighbour_picture(one.neighbour), _name(names, one.taken_for), "taken for this", correct=False
            )
        )
    step = 2 * pairs_in_a_row
    picture_sheet(path, [cells[start : start + step] for start in range(0, len(cells), step)])


def contact_sheet(
    path: Path, pictures: Sequence[Array], captions: Sequence[str] = (), columns: int = 8
) -> None:
    """Write pictures (H, W, 3) uint8 in a grid, with captions when there is one a picture."""
    texts = list(captions) or [""] * len(pictures)
    cells = [Cell(picture, text) for picture, text in zip(pictures, texts, strict=True)]
    picture_sheet(path, [cells[start : start + columns] for start in range(0, len(cells), columns)])


def _cell(cell: Cell, left: int, top: int) -> str:
    box = f'x="{left}" y="{top}" width="{SIDE}" height="{SIDE}"'
    parts = [f'<rect {box} fill="#f1f3f4"/><image {box} href="{_jpeg(cell.picture)}"/>']
    colour = MUTED
    if cell.correct is not None:
        colour = RIGHT if cell.correct else WRONG
        dashes = "" if cell.correct else ' stroke-dasharray="7 3"'
        parts.append(f'<rect {box} fill="none" stroke="{colour}" stroke-width="3.5"{dashes}/>')
    bold = ' font-weight="600"'
    for text, down, style in ((cell.caption, 14, bold), (cell.detail, 27, "")):
        fill = INK if cell.correct is None and down == 14 else colour
        parts.append(f'<text x="{left}" y="{top + SIDE + down}" fill="{fill}"{style}>{_fitted(text)}</text>')
    return "".join(parts)


def _jpeg(picture: Array) -> str:
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    image.thumbnail((STORED_SIDE, STORED_SIDE))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _fitted(text: str) -> str:
    room = int(SIDE / LETTER)
    return escape(text if len(text) <= room else text[: room - 1] + "…")


def _name(names: Mapping[Any, str] | None, label: Any) -> str:
    return str((names or {}).get(label, label))
