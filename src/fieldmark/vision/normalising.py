"""What every network does to its pictures first."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalising(nn.Module):
    """A network that normalises its own input, by the mean and std that its weights were trained with."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Return pictures (B, 3, H, W), uint8 or float in [0, 1], minus the mean over the std.

        Channels come last in memory: convolutions run faster so, and transformers run equally fast.
        """
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
