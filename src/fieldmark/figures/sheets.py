"""Sheets of pictures: SVG files with rows of thumbnails and with text below them that can be searched and copied."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from fieldmark.base.files import write_text
from fieldmark.evaluation.arrays import Array
from fieldmark.figures.style import FONTS, INK, MUTED, RIGHT, WRONG

Tone = Literal["plain", "good", "bad", "faint"]
TONES: dict[Tone, str] = {"plain": INK, "good": RIGHT, "bad": WRONG, "faint": MUTED}
SIDE = 104  # of a picture on the sheet, in px
WIDE_SIDE = 136  # where lines of text stand below the pictures
STORED_SIDE = 144  # of a thumbnail in the file, longer side
GAP, LINE = 12, 13
BASELINE = 14  # of the caption, below its picture
ROOM = GAP - 4  # by how much text may be wider than its picture
LETTER, SMALL_LETTER = 7.4, 6.0  # mean width of a bold letter at 11 px, and of one at 10 px, in px
WEBP_QUALITY = 78
TINT = np.array([230, 57, 43])
STRENGTH = 0.75  # of the tint where a map has its maximum


@dataclass(frozen=True)
class Cell:
    """A picture (H, W, 3) uint8 with up to two lines and further `lines` below; `correct` frames it green or red.

    `box` (x, y, width, height) in pixels of the picture is drawn on it.
    """

    picture: Array
    caption: str = ""
    detail: str = ""
    correct: bool | None = None
    box: tuple[float, float, float, float] | None = None
    lines: Sequence[tuple[str, Tone]] = ()


def picture_sheet(path: Path, rows: Sequence[Sequence[Cell]], lead: bool = False) -> None:
    """Write rows of cells as one SVG; with `lead`, there is a gap after the first column (a query and its answers).

    Without rows, the sheet says that there is nothing to show. A picture that is shown several times is stored once.
    """
    cells = [cell for row in rows for cell in row]
    max_lines = max((len(cell.lines) for cell in cells), default=0)
    side = WIDE_SIDE if max_lines else SIDE
    columns = max((len(row) for row in rows), default=1)
    text = 40 + max_lines * LINE if any(cell.caption or cell.detail or cell.lines for cell in cells) else GAP
    extra = GAP if lead else 0
    width, height = GAP + columns * (side + GAP) + extra, GAP + max(len(rows), 1) * (side + text)
    stored = _Stored(side)
    parts = [
        _cell(
            cell, GAP + column * (side + GAP) + (extra if column else 0), GAP + number * (side + text), stored
        )
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


def tinted(picture: Array, values: Array) -> Array:
    """Tint a picture (H, W, 3) by a map (h, w): not at all at its minimum, most strongly at its maximum."""
    spread = float(np.ptp(values))
    fraction = (values - values.min()) / (spread or 1.0)
    size = picture.shape[1], picture.shape[0]
    fine = Image.fromarray(fraction.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    weight = np.asarray(fine)[..., None] * STRENGTH
    mixed: Array = np.rint((1 - weight) * picture + weight * TINT).astype(np.uint8)
    return mixed


class _Stored:
    """The pictures of one sheet, `side` px large; a picture that occurs again becomes a reference to the first one."""

    def __init__(self, side: int) -> None:
        self.side = side
        self._positions: dict[bytes, tuple[int, int, int]] = {}

    def element(self, picture: Array, left: int, top: int) -> str:
        content = _webp(picture)
        if content in self._positions:
            number, first_left, first_top = self._positions[content]
            return f'<use href="#p{number}" x="{left - first_left}" y="{top - first_top}"/>'
        number = len(self._positions)
        self._positions[content] = number, left, top
        uri = "data:image/webp;base64," + base64.b64encode(content).decode("ascii")
        return f'<image id="p{number}" {_square(left, top, self.side)} href="{uri}"/>'


def _cell(cell: Cell, left: int, top: int, stored: _Stored) -> str:
    side = stored.side
    square = _square(left, top, side)
    parts = [f'<rect {square} fill="#f1f3f4"/>', stored.element(cell.picture, left, top)]
    colour = MUTED
    if cell.correct is not None:
        colour = RIGHT if cell.correct else WRONG
        dashes = "" if cell.correct else ' stroke-dasharray="7 3"'
        parts.append(f'<rect {square} fill="none" stroke="{colour}" stroke-width="3.5"{dashes}/>')
    if cell.box:
        parts.append(_box(cell.box, cell.picture.shape, left, top, side))
    bold = ' font-weight="600"'
    for text, down, style in ((cell.caption, BASELINE, bold), (cell.detail, BASELINE + LINE, "")):
        fill = INK if cell.correct is None and down == BASELINE else colour
        parts.append(_text(text, left, top + side + down, fill, style, int((side + ROOM) / LETTER)))
    down = top + side + BASELINE + (LINE if cell.detail else 0)
    for number, (text, tone) in enumerate(cell.lines, 1):
        room = int((side + ROOM) / SMALL_LETTER)
        parts.append(_text(text, left, down + number * LINE, TONES[tone], ' font-size="10"', room))
    return "".join(parts)


def _box(box: tuple[float, float, float, float], shape: Sequence[int], left: int, top: int, side: int) -> str:
    """Draw a box that is given in pixels of a picture; the picture is scaled to fit into the middle of a square."""
    scale = side / max(shape[:2])
    across, down = left + (side - scale * shape[1]) / 2, top + (side - scale * shape[0]) / 2
    x, y, width, height = box
    geometry = (
        f'x="{across + scale * x:.1f}" y="{down + scale * y:.1f}" '
        f'width="{scale * width:.1f}" height="{scale * height:.1f}" fill="none"'
    )
    return (
        f'<rect {geometry} stroke="#ffffff" stroke-width="3.6"/>'
        f'<rect {geometry} stroke="{WRONG}" stroke-width="1.8"/>'
    )


def _text(text: str, left: int, baseline: int, fill: str, style: str, room: int) -> str:
    """Return a line of text cut to `room` letters; nothing for an empty one."""
    if not text:
        return ""
    fitted = escape(text if len(text) <= room else text[: room - 1] + "…")
    return f'<text x="{left}" y="{baseline}" fill="{fill}"{style}>{fitted}</text>'


def _square(left: int, top: int, side: int) -> str:
    return f'x="{left}" y="{top}" width="{side}" height="{side}"'


def _webp(picture: Array) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(picture)).convert("RGB")
    image.thumbnail((STORED_SIDE, STORED_SIDE))
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=WEBP_QUALITY, method=6)
    return stream.getvalue()
