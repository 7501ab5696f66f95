"""The category-specific awareness head (CAH): channel attention that guides instance normalisation.

Source: Wang et al., arXiv 2207.14465, eq. 7 to 9.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

HeadKind = Literal["none", "attention", "awareness", "release"]

EPS = 1e-5
RELEASE_MOMENTUM = 0.01  # of the release's BatchNorms


class ChannelAttention(nn.Module):
    """Eq. 8: feature maps (B, C, h, w) -> weights of channels (B, C, 1, 1) in (0, 1)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        weights: Tensor = self.excite(torch.relu(self.squeeze(features.mean((2, 3))))).sigmoid()
        return weights[:, :, None, None]


class AttentionHead(nn.Module):
    """CAH without normalisation: unwanted channels are only weakened."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.attention = ChannelAttention(channels, reduction)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        out: Tensor = self.attention(features) * features
        return out


class AwarenessHead(AttentionHead):
    """Eq. 7: wanted channels pass, unwanted ones are normalised within the picture."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        return mix(features, self.attention(features))


class ReleaseHead(AwarenessHead):
    """The head of the authors' code, which the paper does not describe: r = 1 and two more convolutions.

    It holds 28 times the weights of eq. 8 at 2048 channels; its results say nothing about the paper's 2.9 M.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, reduction=1)
        narrow = max(1, channels // 2)
        self.refine = nn.Sequential(
            nn.Conv2d(channels, narrow, 1, bias=False),
            nn.BatchNorm2d(narrow, momentum=RELEASE_MOMENTUM),
            nn.ReLU(),
            nn.Conv2d(narrow, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels, momentum=RELEASE_MOMENTUM),
            nn.ReLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        out: Tensor = self.refine(super().forward(features))
        return out


def mix(features: Tensor, weights: Tensor) -> Tensor:
    """Eq. 7: channels of feature maps (B, C, h, w) are kept by weights (B, C, 1, 1), normalised by 1 - weights."""
    return weights * features + (1 - weights) * instance_normalised(features)


def instance_normalised(features: Tensor) -> Tensor:
    """Eq. 9: each channel of each picture of (B, C, h, w) to mean 0 and variance 1; a constant channel to 0.

    A layer norm over the places of each channel: torch's own instance norm refuses feature maps of a single place.
    """
    return layer_norm(features, features.shape[2:], eps=EPS)


def build_head(kind: HeadKind, channels: int, reduction: int) -> nn.Module | None:
    """Return the head of a variant; None for kind "none"."""
    if kind == "none":
        return None
    if kind == "release":
        return ReleaseHead(channels)
    return (AttentionHead if kind == "attention" else AwarenessHead)(channels, reduction)
