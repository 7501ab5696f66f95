"""Turning a stored picture into a network input: the training and the test geometry."""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torchvision.transforms import v2

from fieldmark.params import Block


class ImageParams(Block):
    """How pictures become network inputs. Lengths are in pixels."""

    size: int = Field(128, ge=16, le=2048)  # side of the square network input
    resize: int | None = Field(None, ge=16, le=4096)  # resized to this before cropping; None: to `size`
    shape: Literal["square", "shorter_side"] = "square"  # what `resize` does to the aspect ratio
    crop: Literal["random", "random_resized", "centre"] = (
        "random_resized"  # in training; tests crop the centre
    )
    scale: tuple[float, float] = (0.3, 1.0)  # area of the random resized crop, as a fraction
    flip: bool = True
    jitter: float = Field(0.0, ge=0.0, le=1.0)  # strength of brightness, contrast and saturation changes
    erase: float = Field(0.0, ge=0.0, le=1.0)  # probability of erasing a rectangle


def training_transform(params: ImageParams) -> v2.Compose:
    """Return the random transform of training: uint8 (3, H, W) -> uint8 (3, size, size)."""
    steps: list[torch.nn.Module] = []
    if params.crop == "random_resized":
        steps.append(v2.RandomResizedCrop(params.size, scale=params.scale, antialias=True))
    else:
        crop = v2.RandomCrop if params.crop == "random" else v2.CenterCrop
        steps += [_resize(params), crop(params.size)]
    if params.flip:
        steps.append(v2.RandomHorizontalFlip())
    if params.jitter:
        steps.append(v2.ColorJitter(params.jitter, params.jitter, params.jitter))
    if params.erase:
        steps.append(v2.RandomErasing(params.erase))
    return v2.Compose(steps)


def evaluation_transform(params: ImageParams) -> v2.Compose:
    """Return the fixed transform of evaluation: resize, then centre crop; uint8 in, uint8 out."""
    return v2.Compose([_resize(params), v2.CenterCrop(params.size)])


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Turn (H, W, 3) uint8 pixels into a (3, H, W) uint8 tensor."""
    return torch.from_numpy(np.array(pixels, copy=True)).permute(2, 0, 1)


def _resize(params: ImageParams) -> v2.Resize:
    side = max(params.resize or params.size, params.size)
    target = [side, side] if params.shape == "square" else [side]
    return v2.Resize(target, antialias=True)
