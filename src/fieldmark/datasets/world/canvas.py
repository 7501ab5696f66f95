"""A supersampled picture and its label mask; everything is drawn on both at once."""

import numpy as np
from PIL import Image, ImageDraw

from fieldmark.datasets.world.geometry import Point, Points, points, rotate
from fieldmark.datasets.world.palette import Colour
from fieldmark.datasets.world.parts import LABEL

FACTOR = 3  # odd, so that the centre sample of each block is the label of its pixel


class Canvas:
    """Draws shapes at integer coordinates of a picture three times as large; `finish` reduces it.

    Shapes are given in local units with y upwards; `place` says where they lie in the picture.
    """

    def __init__(self, background: Image.Image) -> None:
        self.side = background.width
        self.image = background.resize((self.side * FACTOR, self.side * FACTOR), Image.Resampling.NEAREST)
        self.labels = Image.new("L", self.image.size)
        self._draw = ImageDraw.Draw(self.image)
        self._mark = ImageDraw.Draw(self.labels)
        self.turn = 0.0  # degrees by which everything drawn is turned about the local origin
        self.category: int | None = None  # in scenes: the label of every part drawn from now on
        self.place(0.5, 0.5, 0.5, False)

    def place(self, x: float, y: float, scale: float, mirrored: bool) -> None:
        """Put the local origin at (x, y), in fractions of the side from the top left; one unit is `scale`."""
        full = self.side * FACTOR
        self._x, self._y, self._scale = x * full, y * full, scale * full
        self._sign = -1.0 if mirrored else 1.0

    def _label(self, part: str) -> int:
        return LABEL[part] if self.category is None else self.category

    def _pixels(self, shape: Points) -> list[int]:
        if self.turn:
            shape = rotate(shape, self.turn)
        across = shape * (self._sign * self._scale, -self._scale) + (self._x, self._y)
        flat: list[int] = across.round().astype(int).ravel().tolist()
        return flat

    def polygon(self, shape: Points, colour: Colour, part: str | None = None) -> None:
        """Fill a closed polygon (n, 2); with a part, label its pixels too."""
        flat = self._pixels(shape)
        self._draw.polygon(flat, fill=colour)
        if part is not None:
            self._mark.polygon(flat, fill=self._label(part))

    def line(self, shape: Points, colour: Colour, width: float, part: str | None = None) -> None:
        """Draw a polyline (n, 2) of a width in local units, at least one sample wide."""
        flat, pixels = self._pixels(shape), max(1, round(width * self._scale))
        self._draw.line(flat, fill=colour, width=pixels, joint="curve" if pixels > 3 else None)
        if part is not None:
            self._mark.line(flat, fill=self._label(part), width=pixels, joint="curve" if pixels > 3 else None)

    def strokes(self, starts: Points, ends: Points, colours: list[Colour], width: float) -> None:
        """Draw many short lines, one colour each."""
        pixels = max(1, round(width * self._scale))
        a, b = self._pixels(starts), self._pixels(ends)
        for i, colour in enumerate(colours):
            self._draw.line((a[2 * i], a[2 * i + 1], b[2 * i], b[2 * i + 1]), fill=colour, width=pixels)

    def disc(self, centre: Point, radius: float, colour: Colour, part: str | None = None) -> None:
        """Fill a disc."""
        x, y = self._pixels(points(centre))
        r = max(1, round(radius * self._scale))
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        if part is not None:
            self._mark.ellipse((x - r, y - r, x + r, y + r), fill=self._label(part))

    def finish(self) -> tuple[Image.Image, Image.Image, Image.Image]:
        """Return the picture, its label mask and the soft silhouette of what is labelled, at final size."""
        middle = FACTOR // 2
        centres = np.asarray(self.labels)[middle::FACTOR, middle::FACTOR]
        labels = Image.fromarray(np.ascontiguousarray(centres))
        silhouette = self.labels.point([0] + [255] * 255).reduce(FACTOR)
        return self.image.reduce(FACTOR), labels, silhouette
