"""Colour changes, blur and solarisation of views, each picture with its own strengths, all on the device.

As in the release each change is followed by clipping, and the order of the four colour changes is drawn per
picture. Here they are affine maps of RGB, which is fast on a GPU: saturation mixes with the luma and hue
turns the chroma plane of YIQ, where the release goes through HSV.
"""

import math

import torch
from torch import Tensor

from fieldmark.methods.loca.model.params import ColourParams, Range

NUMBERS = 13  # uniform numbers that a view needs here:
JITTER, ORDER, STRENGTHS, GREY = 0, slice(1, 5), slice(5, 9), 9  # whether, in which order, how much; whether
BLUR, SIGMA, SOLARIZE = 10, 11, 12  # whether, how much; whether
LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
SIDE_PER_TAP = 10  # a blur kernel spans a tenth of the side


def recoloured(images: Tensor, uniform: Tensor, params: ColourParams) -> Tensor:
    """Jitter the colours of `images` (..., 3, S, S) in [0, 1], then turn some grey. `uniform` (..., NUMBERS)."""
    pixels, numbers = images.flatten(0, -4).flatten(2), uniform.flatten(0, -2).to(images)
    maps, offsets, pulls = _changes(numbers, params)
    order = numbers[:, ORDER].argsort(1)
    picture = torch.arange(len(pixels), device=pixels.device)
    for change in order.T:
        mean = pixels.mean(2, keepdim=True)
        shift = offsets[picture, change][:, None, None] + pulls[picture, change][:, None, None] * mean
        pixels = torch.baddbmm(shift, maps[picture, change], pixels).clamp(0.0, 1.0)
    grey = (numbers[:, GREY] < params.grey).to(pixels.dtype)[:, None, None]
    eye, luma = _constants(pixels)
    return (((1 - grey) * eye + grey * luma) @ pixels).view(images.shape)


def _changes(numbers: Tensor, params: ColourParams) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each picture and change the RGB map (M, 4, 3, 3), what is added, the weight of the mean (M, 4)."""
    limits = numbers.new_tensor([params.brightness, params.contrast, params.saturation, params.hue])
    signed = (2 * numbers[:, STRENGTHS] - 1) * limits * (numbers[:, JITTER] < params.jitter)[:, None]
    eye, luma = _constants(numbers)
    contrast, saturation = (1 + signed[:, n, None, None] for n in (1, 2))
    maps = torch.stack(
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
    return maps, offsets, pulls


def _hue_turn(angle: Tensor) -> Tensor:
    """Return the RGB maps (M, 3, 3) that turn the chroma plane by `angle` (M,) and keep the luma."""
    to_yiq = angle.new_tensor(YIQ)
    sine, cosine, zero, one = angle.sin(), angle.cos(), torch.zeros_like(angle), torch.ones_like(angle)
    turn = torch.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine], dim=1).view(-1, 3, 3)
    to_rgb: Tensor = torch.linalg.inv(to_yiq)
    return to_rgb @ turn @ to_yiq


def blurred(images: Tensor, uniform: Tensor, probability: float, sigma: Range) -> Tensor:
    """Blur some of `images` (..., 3, S, S) with a Gaussian cut at a tenth of the side; edges are renormalised.

    `uniform` (..., NUMBERS) is on the CPU, so that choosing does not wait for the device.
    """
    numbers = uniform.flatten(0, -2)
    chosen = (numbers[:, BLUR] < probability).nonzero()[:, 0]
    if not len(chosen):
        return images
    side = images.shape[-1]
    index = torch.arange(side)
    distance = (index[:, None] - index).abs()
    width = (sigma[0] + (sigma[1] - sigma[0]) * numbers[chosen, SIGMA])[:, None, None]
    kernel = torch.exp(-distance.square() / (2 * width.square())) * (distance <= side // SIDE_PER_TAP // 2)
    kernel = (kernel / kernel.sum(2, keepdim=True))[:, None].to(images)
    flat, chosen = images.flatten(0, -4), chosen.to(images.device)
    smooth = kernel @ flat[chosen] @ kernel.transpose(2, 3)
    return flat.index_copy(0, chosen, smooth).view(images.shape)


def solarized(images: Tensor, uniform: Tensor, probability: float) -> Tensor:
    """Invert the bright half of the values of some of `images` (..., 3, S, S)."""
    if not probability:
        return images
    chosen = (uniform[..., SOLARIZE] < probability)[..., None, None, None].to(images.device)
    return torch.where(chosen & (images >= 0.5), 1 - images, images)


def _constants(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the identity and the map of RGB to three times its luma, (3, 3) each."""
    eye = torch.eye(3, device=like.device, dtype=like.dtype)
    return eye, like.new_tensor(LUMA).expand(3, 3)
