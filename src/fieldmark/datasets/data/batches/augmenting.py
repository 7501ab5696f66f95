"""The half of augmentation that is done on the device of the model, for a whole batch at once.

Resizing is separable: one matrix per picture for its rows and one for its columns cut, resize and mirror it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fieldmark.datasets.data.batches.drawing import (
    BRIGHTNESS,
    CHANGES,
    COLOURS,
    CONTRAST,
    FACTORS,
    PATCHES,
    STORED,
    TAPS,
    WEIGHTS,
)
from fieldmark.datasets.data.batches.loading import Batch

DRAWN = (STORED, TAPS, WEIGHTS, CHANGES, FACTORS, PATCHES, COLOURS)


def augmented(batch: Batch) -> Batch:
    """Return a batch with `images` (B, 3, side, side) uint8 made of what `DeferredTransform` has drawn.

    Any other batch is returned as it is.
    """
    if STORED not in batch:
        return batch
    stored, taps, weights, changes, factors, patches, colours = (batch[name] for name in DRAWN)
    images = resampled(stored, taps, weights)
    for which, factor in zip(changes.unbind(1), factors.unbind(1), strict=True):
        images = recoloured(images, which, factor)
    for patch, colour in zip(patches.unbind(1), colours.unbind(1), strict=True):
        images = covered(images, patch, colour)
    return {"images": images, **{name: value for name, value in batch.items() if name not in DRAWN}}


def resampled(stored: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
    """Cut, resize and mirror pictures (B, H, W, 3) uint8 -> (B, 3, side, side), by taps (B, 2, side) and weights.

    As torchvision does it on the CPU, columns come first, and what they give is rounded to 8 bits.
    """
    rows, columns = taps.unbind(1)
    if weights.shape[-1] == 1:  # nothing is resized
        each = torch.arange(len(stored), device=stored.device)[:, None, None]
        return stored[each, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2).contiguous()
    down = _matrix(rows, weights[:, 0], stored.shape[1])
    across = _matrix(columns, weights[:, 1], stored.shape[2])
    pictures = stored.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    with _exact_products():
        narrowed = _rounded(pictures.flatten(1, 2) @ across.mT).unflatten(1, pictures.shape[1:3])
        return _rounded(down[:, None] @ narrowed).to(torch.uint8)


def recoloured(images: Tensor, which: Tensor, factor: Tensor) -> Tensor:
    """Change brightness, contrast or saturation of pictures (B, 3, H, W) uint8: `which` and by which `factor`, (B,).

    A picture is blended with black, with the mean of its grey values, or with these (torchvision's adjust_brightness,
    adjust_contrast and adjust_saturation), and cut off to whole numbers.
    """
    from torchvision.transforms.v2.functional import rgb_to_grayscale

    which, factor = which.view(-1, 1, 1, 1), factor.view(-1, 1, 1, 1)
    grey = rgb_to_grayscale(images).float()
    other = torch.where(which == CONTRAST, grey.mean((1, 2, 3), keepdim=True), grey)
    other = torch.where(which == BRIGHTNESS, 0.0, other)
    # One operation for product and sum: it rounds once, as torchvision's does.
    return torch.addcmul(images * factor, other, 1 - factor).clamp_(0, 255).to(torch.uint8)


def covered(images: Tensor, patch: Tensor, colour: Tensor) -> Tensor:
    """Cover a rectangle of each picture (B, 3, H, W): `patch` (B, 4) is top, left, height, width; `colour` (B, 3)."""
    inside = [
        (places >= start[:, None]) & (places < (start + length)[:, None])
        for start, length, places in (
            (patch[:, axis], patch[:, 2 + axis], torch.arange(images.shape[2 + axis], device=images.device))
            for axis in range(2)
        )
    ]
    mask = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(mask, colour[:, :, None, None], images)


def _matrix(taps: Tensor, weights: Tensor, length: int) -> Tensor:
    """Return the matrices (B, side, length) that sum pixels with `weights` (B, side, K) from `taps` (B, side) on."""
    count = weights.shape[-1]
    places = taps[..., None] + torch.arange(count, device=taps.device)
    wide = weights.new_zeros(*taps.shape, length + count)  # taps may reach beyond the edge, with weights of 0
    return wide.scatter_(-1, places, weights)[..., :length]


def _rounded(values: Tensor) -> Tensor:
    """Round to whole numbers of 8 bits, in place, halves upwards."""
    return values.add_(0.5).floor_().clamp_(0, 255)


@contextmanager
def _exact_products() -> Iterator[None]:
    """Compute matrix products in full float32, whatever training allows: the weights have 15 bits, TF32 has 11."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
