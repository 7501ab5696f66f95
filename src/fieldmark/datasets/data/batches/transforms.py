"""Turning a stored picture into a network input, in training (random) and in evaluation (fixed).

torchvision is imported where a transform is made: it takes seconds, and whoever reads parameters makes none.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from fieldmark.base.blocks import Block

if TYPE_CHECKING:
    from torchvision.transforms import v2

MAGNITUDES = 10  # of a random operation, from 0, which changes nothing


class ImageParams(Block):
    """How pictures become network inputs. Lengths are in pixels."""

    renamed: ClassVar[Mapping[str, str]] = {"size": "side"}

    side: int = Field(128, ge=16, le=2048)  # of the square network input
    resize: int | None = Field(None, ge=16, le=4096)  # resized to this before cropping; None: to `side`
    # What `resize` does: it makes the picture square, or it brings the shorter side to that length.
    shape: Literal["square", "shorter_side"] = "square"
    enlarge: bool = False  # true: a data set may keep smaller squares; it is no slip that these are enlarged
    # In training; in evaluation the centre is cropped.
    crop: Literal["random", "random_resized", "centre"] = "random_resized"
    scale: tuple[float, float] = (0.3, 1.0)  # area of the random resized crop, as a fraction
    flip: bool = True
    jitter: float = Field(0.0, ge=0.0, le=1.0)  # strength of brightness, contrast and saturation changes
    erase: float = Field(0.0, ge=0.0, le=1.0)  # probability of erasing a rectangle
    cutout: float = Field(0.0, ge=0.0, le=1.0)  # sides of the rectangle of `Cutout`, as a fraction
    augment: int = Field(0, ge=0)  # how many random operations follow, each with probability 0.5


class WindowParams(Block):
    """How pictures are cut where they are not seen whole. Lengths are in pixels; defaults are ADE20k's in Segmenter."""

    side: int = Field(512, ge=16, le=2048)  # of the square crop in training, and of the window in the test
    stride: int = Field(512, ge=1)  # from window to window
    resize: int = Field(512, ge=16, le=4096)  # of a picture's shorter side; the longer one in proportion
    scale: tuple[float, float] = (0.5, 2.0)  # in training `resize` is multiplied by a number drawn from here
    one_label: float = Field(0.75, gt=0.0, le=1.0)  # a crop with more of one label is drawn again; 1: never
    loss_stride: int = Field(1, ge=1)  # the loss looks at every so many pixels along a side
    flip: bool = True
    distort: bool = True  # brightness, contrast, saturation and hue, each with probability 0.5

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.stride > self.side:
            raise ValueError(f"stride {self.stride} leaves gaps between windows of {self.side} pixels")
        if not 0.0 < self.scale[0] <= self.scale[1]:
            raise ValueError("scale must be two factors above 0, the smaller one first")
        return self


def training_transform(params: ImageParams) -> "v2.Compose":
    """Return the random transform of training: uint8 (3, H, W) -> uint8 (3, side, side)."""
    from torchvision.transforms import v2

    steps: list[torch.nn.Module] = []
    if params.crop == "random_resized":
        steps.append(v2.RandomResizedCrop(params.side, scale=params.scale, antialias=True))
    else:
        crop = v2.RandomCrop if params.crop == "random" else v2.CenterCrop
        steps += [_resize(params), crop(params.side)]
    if params.flip:
        steps.append(v2.RandomHorizontalFlip())
    if params.jitter:
        steps.append(v2.ColorJitter(params.jitter, params.jitter, params.jitter))
    if params.erase:
        steps.append(v2.RandomErasing(params.erase))
    if params.cutout:
        steps.append(Cutout(params.cutout))
    steps += [_random_operation() for _ in range(params.augment)]
    return v2.Compose(steps)


class Cutout(torch.nn.Module):
    """Covers a rectangle around a random point with one random colour; the rectangle is clipped at the edge.

    Uint8 (3, H, W) -> the same shape; the rectangle's sides are `fraction` of H and W.
    """

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction

    def forward(self, image: Tensor) -> Tensor:
        """Return a copy with the rectangle in it."""
        (rows, columns), colour = self.draw((image.shape[-2], image.shape[-1]), image.dtype)
        covered = image.clone()
        covered[:, rows, columns] = colour
        return covered

    def draw(self, shape: tuple[int, int], dtype: torch.dtype) -> tuple[list[slice], Tensor]:
        """Draw which rows and columns of a picture (H, W) are covered, and the colour (3, 1, 1)."""
        bounds = []
        for side in shape:
            reach = self.fraction * side
            start = float(torch.rand(())) * side - reach / 2
            bounds.append(slice(max(0, round(start)), max(0, round(start + reach))))
        return bounds, torch.randint(0, 256, (3, 1, 1), dtype=dtype)


def _random_operation() -> "v2.RandomApply":
    """Return one operation of RandAugment (arXiv 1909.13719) at a magnitude of 1 to 9, drawn anew each time."""
    from torchvision.transforms import v2

    strengths = [
        v2.RandAugment(num_ops=1, magnitude=magnitude, num_magnitude_bins=MAGNITUDES)
        for magnitude in range(1, MAGNITUDES)
    ]
    return v2.RandomApply([v2.RandomChoice(strengths)], p=0.5)


def evaluation_transform(params: ImageParams) -> "v2.Compose":
    """Return the fixed transform of evaluation: resize, then centre crop; uint8 in, uint8 out."""
    from torchvision.transforms import v2

    return v2.Compose([_resize(params), v2.CenterCrop(params.side)])


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Turn (H, W, 3) uint8 pixels into a (3, H, W) uint8 tensor."""
    return torch.from_numpy(np.array(pixels, copy=True)).permute(2, 0, 1)


def _resize(params: ImageParams) -> "v2.Resize":
    from torchvision.transforms import v2

    side = max(params.resize or params.side, params.side)
    target = [side, side] if params.shape == "square" else [side]
    return v2.Resize(target, antialias=True)
