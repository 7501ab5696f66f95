"""Colour changes, blur and solarisation of views, each picture with its own strengths, on the pictures' device.

As in the release each change is followed by clipping, and the order of the four colour changes is drawn per
picture. Here they are affine maps of RGB, which is fast on a GPU: saturation mixes with the luma and hue
turns the chroma plane of YIQ, where the release goes through HSV.

The random numbers lie on the CPU. What follows from them alone is computed there and moved without waiting for the
device. Every picture is blurred and inverted, and the result is used where that was drawn: to select some pictures
would be to wait.
"""

import math

import torch
from torch import Tensor

from fieldmark.methods.loca.model.params import ColourParams, Range
from fieldmark.runtime.device import moved

Changes = tuple[Tensor, Tensor, Tensor]
NUMBERS = 13  # uniform numbers that a view needs here:
JITTER, ORDER, STRENGTHS, GREY = 0, slice(1, 5), slice(5, 9), 9  # whether, in which order, how much; whether
BLUR, SIGMA, SOLARIZE = 10, 11, 12  # whether, how much; whether
LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
SIDE_PER_KERNEL = 10  # a blur kernel spans a tenth of the side


def recoloured(images: Tensor, uniform: Tensor, params: ColourParams) -> Tensor:
    """Jitter the colours of `images` (..., 3, S, S) in [0, 1], then turn some grey.

    `uniform` (..., NUMBERS) lies on the CPU.
    """
    pixels, numbers = images.flatten(0, -4).flatten(2), uniform.flatten(0, -2).to(images.dtype)
    changes = (*_ordered(_changes(numbers, params), numbers[:, ORDER].argsort(1)), _greys(numbers, params))
    rgb_maps, offsets, pulls, greys = (moved(change, pixels.device) for change in changes)
    for rgb_map, offset, pull in zip(rgb_maps, offsets, pulls, strict=True):
        mean = pixels.mean(2, keepdim=True)
        shift = offset[:, None, None] + pull[:, None, None] * mean
        pixels = torch.baddbmm(shift, rgb_map, pixels).clamp(0.0, 1.0)
    shown: Tensor = greys @ pixels
    return shown.view(images.shape)


def _ordered(changes: Changes, order: Tensor) -> Changes:
    """Bring changes (M, 4, ...) into the order (M, 4) of each picture; the four come first: (4, M, ...)."""
    picture = torch.arange(len(order))
    rgb_maps, offsets, pulls = (values[picture, order.T] for values in changes)
    return rgb_maps, offsets, pulls


def _greys(numbers: Tensor, params: ColourParams) -> Tensor:
    """Return for each picture the RGB map (M, 3, 3) that turns it grey, or changes nothing."""
    grey = (numbers[:, GREY] < params.grey).to(numbers.dtype)[:, None, None]
    eye, luma = _constants(numbers)
    return (1 - grey) * eye + grey * luma


def _changes(numbers: Tensor, params: ColourParams) -> Changes:
    """Return for each picture and change the RGB map (M, 4, 3, 3), what is added, the weight of the mean (M, 4)."""
    limits = numbers.new_tensor([params.brightness, params.contrast, params.saturation, params.hue])
    signed = (2 * numbers[:, STRENGTHS] - 1) * limits * (numbers[:, JITTER] < params.jitter)[:, None]
    eye, luma = _constants(numbers)
    contrast, saturation = (1 + signed[:, n, None, None] for n in (1, 2))
    rgb_maps = torch.stack(
        [
            eye.expand(len(numbers), 3, 3),
            contrast * eye,
            saturation * eye + (1 - saturation) * luma,
            _hue_turn(2 * math.pi * signed[:, 3]),
        ],
        dim=1,
    )
    nothing = torch.zeros_like(signed[:, 0])
    offsets = torch.stack([signed[:, 0], nothing, nothing, nothing], dim=1)
    pulls = torch.stack([nothing, -signed[:, 1], nothing, nothing], dim=1)
    return rgb_maps, offsets, pulls


def _hue_turn(angle: Tensor) -> Tensor:
    """Return the RGB maps (M, 3, 3) that turn the chroma plane by `angle` (M,) and keep the luma."""
    to_yiq = angle.new_tensor(YIQ)
    sine, cosine, zeros, ones = angle.sin(), angle.cos(), torch.zeros_like(angle), torch.ones_like(angle)
    turn = torch.stack([ones, zeros, zeros, zeros, cosine, -sine, zeros, sine, cosine], dim=1).view(-1, 3, 3)
    to_rgb: Tensor = torch.linalg.inv(to_yiq)
    return to_rgb @ turn @ to_yiq


def blurred(images: Tensor, uniform: Tensor, probability: float, sigma: Range) -> Tensor:
    """Blur some of `images` (..., 3, S, S) with a Gaussian cut at a tenth of the side; edges are renormalised.

    `uniform` (..., NUMBERS) lies on the CPU; `sigma` in pixels.
    """
    if not probability:
        return images
    numbers = uniform.flatten(0, -2)
    width = sigma[0] + (sigma[1] - sigma[0]) * numbers[:, SIGMA]
    chosen, width = moved(numbers[:, BLUR] < probability, images.device), moved(width, images.device)
    pictures, kernels = images.flatten(0, -4), _kernels(width, images.shape[-1])[:, None].to(images.dtype)
    smooth = kernels @ pictures @ kernels.transpose(2, 3)
    return torch.where(chosen[:, None, None, None], smooth, pictures).view(images.shape)


def _kernels(width: Tensor, side: int) -> Tensor:
    """Return for each `width` (M,) in pixels the matrix (M, side, side) that blurs the rows of a picture."""
    index = torch.arange(side, device=width.device)
    distance = (index[:, None] - index).abs()
    near = distance <= side // SIDE_PER_KERNEL // 2
    weights = torch.exp(-distance.square() / (2 * width[:, None, None].square())) * near
    return weights / weights.sum(2, keepdim=True)


def solarized(images: Tensor, uniform: Tensor, probability: float) -> Tensor:
    """Invert the bright half of the values of some of `images` (..., 3, S, S); `uniform` lies on the CPU."""
    if not probability:
        return images
    chosen = (uniform[..., SOLARIZE] < probability)[..., None, None, None]
    return torch.where(moved(chosen, images.device) & (images >= 0.5), 1 - images, images)


def _constants(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the identity and the map of RGB to three times its luma, (3, 3) each."""
    eye = torch.eye(3, device=like.device, dtype=like.dtype)
    return eye, like.new_tensor(LUMA).expand(3, 3)
