"""Masks in colour with a key of the colours, and boxes drawn on pictures."""

import colorsys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fieldmark.figures.sheets import Cell

GOLDEN = 0.618033988749895  # steps of the golden ratio give neighbouring labels very different hues
FIRST = (222, 224, 226)  # label 0, often the background
UNLABELLED = (255, 255, 255)
LABELS = 256
KEY_SIDE = 24  # pixels of a coloured square in the key
MAX_KEYS = 32

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]


def label_colours() -> Pixels:
    """Return the colour of every label, (256, 3): grey for 0, white for 255 (no label), hues for the others."""
    colours = np.zeros((LABELS, 3), np.uint8)
    for label in range(1, LABELS - 1):
        lightness = (0.42, 0.62, 0.52)[label % 3]
        hue = colorsys.hls_to_rgb(label * GOLDEN % 1.0, lightness, 0.75)
        colours[label] = [round(255 * part) for part in hue]
    colours[0], colours[-1] = FIRST, UNLABELLED
    return colours


def coloured_labels(mask: NDArray[np.integer]) -> Pixels:
    """Turn a mask (H, W) of labels 0 to 255 into a picture (H, W, 3)."""
    picture: Pixels = label_colours()[mask]
    return picture


def label_key(names: Sequence[str], columns: int) -> Iterator[list[Cell]]:
    """Yield rows of cells that say what each colour means; of more than 32 labels, only for the first ones."""
    colours = label_colours()
    cells = [
        Cell(np.broadcast_to(colours[label], (KEY_SIDE, KEY_SIDE, 3)), name)
        for label, name in enumerate(names[:MAX_KEYS])
    ]
    for start in range(0, len(cells), columns):
        yield cells[start : start + columns]


def framed(picture: Pixels, boxes: Mapping[Colour, Sequence[float]], width: int = 0) -> Pixels:
    """Return a copy of a picture (H, W, 3) with boxes (top, left, height, width) outlined, by colour.

    `width` is that of the lines in pixels; 0 means a sixty-fourth of the longer side of the picture, at least one.
    """
    drawn = np.array(picture)
    line = width or max(1, round(max(drawn.shape[:2]) / 64))
    for colour, (top, left, height, across) in boxes.items():
        y, x = (max(0, round(value)) for value in (top, left))
        below, right = (round(value) for value in (top + height, left + across))
        part = drawn[y:below, x:right]
        part[:line], part[-line:], part[:, :line], part[:, -line:] = (np.array(colour, np.uint8),) * 4
    return drawn
