"""The discriminative perturbation prompt (DPP): shows the frozen backbone a picture warped to what matters.

Source: Wang et al., arXiv 2207.14465, eq. 1 to 6.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate

from fieldmark.engine.precision import full_precision
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.sampler import SaliencySampler

FFT_MULTIPLE = 16  # sides of a transform: a product of small primes is fast


class Prompt(nn.Module):
    """Reads from early features what is salient, and warps the picture accordingly."""

    def __init__(self, channels: int, params: FrptParams) -> None:
        super().__init__()
        side = params.kernel_size
        # Zero: the saliency is uniform at first, so that training starts with the picture as it is.
        self.weight = nn.Parameter(torch.zeros(1, channels, side, side))
        self.grid = (params.grid, params.grid)
        self.size = (params.images.side, params.images.side) if params.source else None
        self.sampler = SaliencySampler(self.grid, params.fwhm, params.padding).float()

    def saliency(self, features: Tensor) -> Tensor:
        """Eq. 1 and 2: features (B, C, h, w) -> a saliency map (B, 1, h, w) that sums to 1."""
        scores = large_convolution(features, self.weight)
        return scores.flatten(1).softmax(1).view_as(scores)

    def forward(self, images: Tensor, saliency: Tensor) -> Tensor:
        """Eq. 3 to 6: warp images (B, 3, H, W), float, by a saliency map of any size.

        The warped images have the same shape or, with a finer `source`, the size that the network takes: what is
        enlarged then shows detail that evenly sampled pictures lack. At the same size a warp adds no detail.
        """
        with torch.autocast(images.device.type, enabled=False):
            grid = self.sampler(on_cells(saliency, self.grid), self.size or images.shape[-2:])
            warped: Tensor = grid_sample(images, grid, mode="bilinear", align_corners=True)
        return warped


def on_cells(saliency: Tensor, cells: tuple[int, int]) -> Tensor:
    """Bring saliency maps (B, 1, h, w) to (B, 1, *cells), up to their scale.

    Along a side that shrinks, each cell gets what lies on its part of the side, so that a peak weighs the same wherever
    it lies, and a uniform map stays uniform. A side that grows is interpolated linearly between its ends.
    """
    rows, columns = (_shares(old, new, saliency) for old, new in zip(saliency.shape[2:], cells, strict=True))
    reduced = rows @ saliency @ columns.mT
    return interpolate(reduced, cells, mode="bilinear", align_corners=True)


def _shares(old: int, new: int, like: Tensor) -> Tensor:
    """Return (new, old): which part of each of `old` equal parts of a side lies on each of `new` ones.

    A side that does not shrink stays as it is: (old, old). Device and type are those of `like`.
    """
    if old <= new:
        return torch.eye(old, dtype=like.dtype, device=like.device)
    ours = torch.arange(new, dtype=like.dtype, device=like.device)[:, None] * old
    theirs = torch.arange(old, dtype=like.dtype, device=like.device)[None, :] * new
    overlap = torch.minimum(ours + old, theirs + new) - torch.maximum(ours, theirs)
    return overlap.clamp(min=0) / new


def large_convolution(features: Tensor, weight: Tensor) -> Tensor:
    """Eq. 1: features (B, C, h, w) and a kernel (1, C, k, k), k odd, zero padding -> (B, 1, h, w), at least float32.

    By Fourier transform: with kernels as large as the feature map, `conv2d`'s gradient of the weights is far slower.
    """
    sides = [-(-(side + weight.shape[-1] - 1) // FFT_MULTIPLE) * FFT_MULTIPLE for side in features.shape[-2:]]
    exact = full_precision(features)
    with torch.autocast(features.device.type, enabled=False):
        spectrum = torch.fft.rfft2(exact, s=sides) * torch.fft.rfft2(weight, s=sides).conj()
        scores: Tensor = torch.fft.irfft2(spectrum.sum(1, keepdim=True), s=sides)
    half = weight.shape[-1] // 2
    return scores.roll((half, half), (2, 3))[..., : features.shape[-2], : features.shape[-1]]
