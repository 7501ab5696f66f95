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
    """Parses the content of early features and modifies the picture by it."""

    def __init__(self, channels: int, params: FrptParams) -> None:
        super().__init__()
        side = params.kernel_size
        # Zero: the map is uniform at first, so that training starts with the picture as it is.
        self.weight = nn.Parameter(torch.zeros(1, channels, side, side))
        self.grid = (params.grid, params.grid)
        self.size = (params.images.side, params.images.side) if params.source else None
        self.sampler = SaliencySampler(self.grid, params.fwhm, params.padding).float()

    def saliency(self, features: Tensor) -> Tensor:
        """Eq. 1 and 2: features (B, C, h, w) -> a map (B, 1, h, w) that sums to 1."""
        scores = large_convolution(features, self.weight)
        return scores.flatten(1).softmax(1).view_as(scores)

    def forward(self, images: Tensor, saliency: Tensor) -> Tensor:
        """Eq. 3 to 6: warp images (B, 3, H, W), float, by a saliency map of any size.

        They come out in the same shape, or in the network's where they are of a finer `source`: what is enlarged
        then shows detail that an even look does not have. At one size a warp has no pixels to add.
        """
        with torch.autocast(images.device.type, enabled=False):
            coarse = interpolate(saliency, self.grid, mode="bilinear", align_corners=True)
            grid = self.sampler(coarse, self.size or images.shape[-2:])
            warped: Tensor = grid_sample(images, grid, mode="bilinear", align_corners=True)
        return warped


def large_convolution(maps: Tensor, weight: Tensor) -> Tensor:
    """Eq. 1: maps (B, C, h, w) and one odd kernel (1, C, k, k), zero padding -> (B, 1, h, w), at least float32.

    By Fourier transform: with kernels as large as the map, `conv2d`'s gradient of the weights is far slower.
    """
    sides = [-(-(side + weight.shape[-1] - 1) // FFT_MULTIPLE) * FFT_MULTIPLE for side in maps.shape[-2:]]
    exact = full_precision(maps)
    with torch.autocast(maps.device.type, enabled=False):
        spectrum = torch.fft.rfft2(exact, s=sides) * torch.fft.rfft2(weight, s=sides).conj()
        scores: Tensor = torch.fft.irfft2(spectrum.sum(1, keepdim=True), s=sides)
    half = weight.shape[-1] // 2
    return scores.roll((half, half), (2, 3))[..., : maps.shape[-2], : maps.shape[-1]]
