"""A store whose pictures are cut to their boxes, for data sets whose subjects are small in them."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.packed.store import ImageStore, Pixels

Box = tuple[float, float, float, float]  # x, y, width, height in pixels
Boxes = Mapping[int, Box]
MARGIN = 0.1  # of the longer side of a box


class BoxedStore(ImageStore):
    """Shows of every picture, and of its mask, the square around its box; a picture without box is shown whole."""

    def __init__(self, folder: Path, boxes: Boxes, mask_boxes: Boxes) -> None:
        super().__init__(folder)
        self._boxes, self._mask_boxes = boxes, mask_boxes

    @classmethod
    def of(cls, folder: Path, manifest: pd.DataFrame) -> Self:
        """Open the store in `folder`, whose manifest says where the boxes are. Raises UserError when it has none."""
        boxed = manifest[manifest.box.notna()]
        if boxed.empty:
            raise UserError(f"{folder} has no boxes to which its pictures could be cut; set region: whole")
        boxes = [tuple(box) for box in boxed.box]
        return cls(
            folder, dict(zip(boxed.row, boxes, strict=True)), dict(zip(boxed.mask_row, boxes, strict=True))
        )

    def __getitem__(self, row: int) -> Pixels:
        """Return what is shown of the picture at `row`, (h, w, 3) uint8 RGB."""
        return cut(super().__getitem__(row), self._boxes.get(row))

    @property
    def square(self) -> None:
        """No side: boxes have many."""

    def mask(self, mask_row: int) -> Pixels:
        """Return the mask of what is shown, (h, w) uint8."""
        return cut(super().mask(mask_row), self._mask_boxes.get(mask_row))

    def __reduce__(self) -> tuple[Callable[..., ImageStore], tuple[Any, ...]]:
        return type(self), (self.folder, self._boxes, self._mask_boxes)


class QueryStore(ImageStore):
    """Shows of the queries of a benchmark their boxes alone, exactly, and all other pictures whole."""

    def __init__(self, folder: Path, boxes: Boxes) -> None:
        super().__init__(folder)
        self._boxes = boxes

    @classmethod
    def of(cls, folder: Path, manifest: pd.DataFrame, queries: Collection[str]) -> Self:
        """Open the store in `folder`; `queries` are the ids of the pictures that are cut to their boxes."""
        boxed = manifest[manifest.box.notna() & manifest.id.isin(queries)]
        return cls(folder, {row: tuple(box) for row, box in zip(boxed.row, boxed.box, strict=True)})

    def __getitem__(self, row: int) -> Pixels:
        """Return what is shown of the picture at `row`, (h, w, 3) uint8 RGB."""
        pixels, box = super().__getitem__(row), self._boxes.get(row)
        return pixels if box is None else cut_exactly(pixels, box)

    @property
    def square(self) -> None:
        """No side: boxes have many."""

    def __reduce__(self) -> tuple[Callable[..., ImageStore], tuple[Any, ...]]:
        return type(self), (self.folder, self._boxes)


def cut_exactly(pixels: Pixels, box: Box) -> Pixels:
    """Cut (H, W, ...) to a box whose edges are rounded to whole pixels; at least one pixel is left."""
    x, y, width, height = box
    left, top = (
        min(max(0, round(start)), length - 1)
        for start, length in ((x, pixels.shape[1]), (y, pixels.shape[0]))
    )
    return pixels[top : max(top + 1, round(y + height)), left : max(left + 1, round(x + width))]


def cut(pixels: Pixels, box: Box | None) -> Pixels:
    """Cut (H, W, ...) to the square around `box`, which is larger than the box's longer side by `MARGIN`.

    The square is moved into the picture where it would reach beyond, and cut where the picture is narrower.
    """
    if box is None:
        return pixels
    x, y, width, height = box
    side = max(width, height) * (1 + MARGIN)
    rows = _span(y + height / 2, side, pixels.shape[0])
    columns = _span(x + width / 2, side, pixels.shape[1])
    return pixels[rows, columns]


def _span(centre: float, side: float, length: int) -> slice:
    """Return where a side lies along an axis with so many pixels."""
    count = min(max(1, round(side)), length)
    start = min(max(0, round(centre - count / 2)), length - count)
    return slice(start, start + count)
