"""The half of augmentation that loader processes do where the device does the rest: drawing, for each picture.

What is drawn, and in which order, is that of `training_transform`, so that a picture is augmented alike by either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.datasets.data.batches.transforms import Cutout, ImageParams, training_transform
from fieldmark.datasets.data.packed.store import Pixels

if TYPE_CHECKING:
    from torchvision.transforms import v2

STORED, TAPS, WEIGHTS = "stored", "taps", "weights"
CHANGES, FACTORS, PATCHES, COLOURS = "changes", "factors", "patches", "colours"
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)  # as torchvision's ColorJitter numbers them
INT16_BITS, MOST_BITS = 15, 22  # of a weight of resizing
BLACK = (0, 0, 0)


class Span(NamedTuple):
    """Along one side `length` pixels from `first` on are resized; the first `skipped` of the result are cut off."""

    first: int
    length: int
    skipped: int


class Patch(NamedTuple):
    """A rectangle of one colour, in pixels; without height and width it covers nothing."""

    top: int = 0
    left: int = 0
    height: int = 0
    width: int = 0
    colour: tuple[int, int, int] = BLACK


@dataclass(frozen=True)
class Drawn:
    """A picture as it is stored, (S, S, 3), and what is to be done with it, in this order.

    The spans are cut out and resized, the result is mirrored if `flipped`, its colours are changed by each of
    `changes` (which, and the factor), and each of `patches` covers a part of it.
    """

    picture: Pixels
    rows: Span
    columns: Span
    flipped: bool = False
    changes: tuple[tuple[int, float], ...] = ()
    patches: tuple[Patch, ...] = ()


class DeferredTransform:
    """Draws for a picture what `training_transform` draws from the same generator; the picture stays as it is stored.

    `batch` makes of several what `augmented` (in the file beside) turns into pictures. They are squares of one side.
    Raises ValueError for random operations, which have no form for batches.
    """

    def __init__(self, params: ImageParams) -> None:
        if params.augment:
            raise ValueError("random operations cannot be applied to a whole batch")
        self.side = params.side
        random = params.crop == "random_resized"
        self.resized = self.side if random else max(params.resize or 0, self.side)  # pixels of a resized span
        self.draws = [self._draw_of(step) for step in training_transform(params).transforms]

    def __call__(self, picture: Pixels) -> Drawn:
        """Draw for a picture (S, S, 3) uint8."""
        whole = Span(0, len(picture), 0)
        drawn = Drawn(picture, whole, whole)
        for draw in self.draws:
            drawn = draw(drawn)
        return drawn

    def _draw_of(self, step: torch.nn.Module) -> Callable[[Drawn], Drawn]:
        """Return what adds to a picture what one step of the transform draws."""
        from torchvision.transforms import v2

        match step:
            case v2.RandomResizedCrop():
                return partial(_boxed, step)
            case v2.Resize():
                return _unchanged  # to `resized`, whatever is cut afterwards
            case v2.RandomCrop():
                return partial(_cut, step, _blank(self.resized))
            case v2.CenterCrop():
                return partial(_centred, round((self.resized - self.side) / 2))
            case v2.RandomHorizontalFlip():
                return partial(_flipped, step)
            case v2.ColorJitter():
                return partial(_recoloured, step)
            case v2.RandomErasing():
                return partial(_erased, step, _blank(self.side))
            case Cutout():
                return partial(_cutout, step, self.side)
        raise TypeError(f"{type(step).__name__} has no form for batches")

    def batch(self, drawn: Sequence[Drawn]) -> dict[str, Tensor]:
        """Return the pictures of B with what was drawn for them, as tensors by name; `augmented` reads these.

        `stored` (B, S, S, 3) uint8; `taps` (B, 2, side) and `weights` (B, 2, side, K): along rows, then columns, each
        pixel of the result is a weighted sum of K pixels from its tap on; `changes` and `factors` (B, 3 or 0);
        `patches` (B, P, 4), top, left, height and width, and `colours` (B, P, 3) uint8.
        """
        spans = np.array([(one.rows, one.columns) for one in drawn], np.int64)
        taps, weights = taps_of(spans, self.resized, self.side)
        flipped = np.array([one.flipped for one in drawn])
        for values in (taps, weights):
            values[flipped, 1] = values[flipped, 1, ::-1]
        patches = [[patch[:4] for patch in one.patches] for one in drawn]
        colours = [[patch.colour for patch in one.patches] for one in drawn]
        return {
            STORED: torch.from_numpy(np.stack([one.picture for one in drawn])),
            TAPS: torch.from_numpy(taps),
            WEIGHTS: torch.from_numpy(weights.astype(np.float32)),
            CHANGES: torch.tensor([[which for which, _ in one.changes] for one in drawn], dtype=torch.int64),
            FACTORS: torch.tensor([[factor for _, factor in one.changes] for one in drawn]),
            PATCHES: torch.tensor(patches, dtype=torch.int64).view(len(drawn), -1, 4),
            COLOURS: torch.tensor(colours, dtype=torch.uint8).view(len(drawn), -1, 3),
        }


def taps_of(
    spans: NDArray[np.int64], resized: int, side: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return from where on, and with which weights, pixels are summed by bilinear resizing with antialiasing.

    `spans` is (..., 3); each is resized to `resized` pixels, of which `side` are kept. Returns first pixels (..., side)
    and weights (..., side, K). The filter is a triangle whose half width is one pixel of the result or of the picture,
    whichever is larger. As in PyTorch's kernel for 8 bits (UpSampleKernel.cpp, after Pillow's Resample.c), weights are
    rounded to whole multiples of a power of two, so that the sums are exact in any order.
    """
    first, length, skipped = (spans[..., place, None] for place in range(3))
    scale = length / resized
    support = np.maximum(scale, 1.0)
    centre = scale * (np.arange(resized) + 0.5)
    begin = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    end = np.minimum((centre + support + 0.5).astype(np.int64), length)
    pixels = begin[..., None] + np.arange(int((end - begin).max()))
    distance = np.abs((pixels - centre[..., None] + 0.5) / support[..., None])
    weights = np.where(pixels < end[..., None], np.maximum(1 - distance, 0), 0)
    weights = _rounded(weights / weights.sum(-1, keepdims=True))
    kept = skipped + np.arange(side)
    weights = np.take_along_axis(weights, kept[..., None], -2)
    used = int(np.flatnonzero(weights.any(tuple(range(weights.ndim - 1))))[-1]) + 1
    return first + np.take_along_axis(begin, kept, -1), weights[..., :used]


def _rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round the weights (..., side, K) of each span to as many bits as let its largest still fit into 16."""
    largest = weights.max((-2, -1))[..., None]
    doubled = np.floor(largest * 2.0 ** (np.arange(MOST_BITS) + 1) + 0.5) >= 2**INT16_BITS
    bits = np.where(doubled.any(-1), doubled.argmax(-1), MOST_BITS)[..., None, None]
    rounded: NDArray[np.float64] = np.floor(weights * 2.0**bits + 0.5) / 2.0**bits
    return rounded


def _blank(side: int) -> Tensor:
    """Return what stands for a picture (3, side, side) where its size alone is asked for."""
    return torch.empty(1, dtype=torch.uint8).expand(3, side, side)


def _unchanged(drawn: Drawn) -> Drawn:
    return drawn


def _boxed(step: "v2.RandomResizedCrop", drawn: Drawn) -> Drawn:
    box = step.make_params([_blank(len(drawn.picture))])
    rows, columns = Span(box["top"], box["height"], 0), Span(box["left"], box["width"], 0)
    return replace(drawn, rows=rows, columns=columns)


def _cut(step: "v2.RandomCrop", resized: Tensor, drawn: Drawn) -> Drawn:
    box = step.make_params([resized])
    rows, columns = (
        span._replace(skipped=box[edge]) for span, edge in ((drawn.rows, "top"), (drawn.columns, "left"))
    )
    return replace(drawn, rows=rows, columns=columns)


def _centred(skipped: int, drawn: Drawn) -> Drawn:
    rows, columns = (span._replace(skipped=skipped) for span in (drawn.rows, drawn.columns))
    return replace(drawn, rows=rows, columns=columns)


def _flipped(step: "v2.RandomHorizontalFlip", drawn: Drawn) -> Drawn:
    return replace(drawn, flipped=bool(torch.rand(1) < step.p))


def _recoloured(step: "v2.ColorJitter", drawn: Drawn) -> Drawn:
    """Add the changes of colours in their order, each with its factor. Hue is not among them."""
    made = step.make_params([])
    factors = (made["brightness_factor"], made["contrast_factor"], made["saturation_factor"])
    changes = tuple((which, factors[which]) for which in made["fn_idx"].tolist() if which != HUE)
    return replace(drawn, changes=changes)


def _erased(step: "v2.RandomErasing", shown: Tensor, drawn: Drawn) -> Drawn:
    patch = Patch()
    if torch.rand(1) < step.p:
        made = step.make_params([shown])
        patch = patch if made["v"] is None else Patch(made["i"], made["j"], made["h"], made["w"])
    return replace(drawn, patches=(*drawn.patches, patch))


def _cutout(step: Cutout, side: int, drawn: Drawn) -> Drawn:
    (rows, columns), colour = step.draw((side, side), torch.uint8)
    red, green, blue = colour.flatten().tolist()
    height, width = rows.stop - rows.start, columns.stop - columns.start
    patch = Patch(rows.start, columns.start, height, width, (red, green, blue))
    return replace(drawn, patches=(*drawn.patches, patch))
