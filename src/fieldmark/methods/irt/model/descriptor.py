"""From picture to descriptor: backbone, pooling, optional PCA, unit length."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from fieldmark.vision.backbones import Backbone
from fieldmark.vision.pooling import Pooling, pool


class Projection(nn.Module):
    """A PCA without whitening, fitted once after training."""

    mean: Tensor
    components: Tensor

    def __init__(self, dim: int, kept: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("components", torch.eye(dim)[:kept])

    def forward(self, vectors: Tensor) -> Tensor:
        """(N, dim) -> (N, kept)."""
        return (vectors - self.mean) @ self.components.T

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Take the leading principal axes of `vectors` (N, dim); signs are fixed for reproducibility."""
        exact = vectors.double()
        mean = exact.mean(0)
        _, axes = torch.linalg.eigh((exact - mean).T @ (exact - mean))
        axes = axes.flip(1).T[: len(self.components)]
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
        self.mean.copy_(mean)
        self.components.copy_(axes * largest.sign())


class Descriptor(nn.Module):
    """Pictures (B, 3, H, W) -> unit-length descriptors (B, D)."""

    def __init__(self, backbone: Backbone, pooling: Pooling, kept: int | None) -> None:
        super().__init__()
        self.backbone, self.pooling = backbone, pooling
        self.projection = Projection(backbone.spec.dim, kept) if kept else None

    def forward(self, images: Tensor) -> Tensor:
        """The descriptor that is trained: before the PCA, unit length."""
        return normalize(self.pooled(images).float(), dim=1)

    def pooled(self, images: Tensor) -> Tensor:
        """The pooled features (B, dim), of any length."""
        return pool(self.backbone(images), self.pooling)

    def describe(self, images: Tensor) -> Tensor:
        """The descriptor that is searched with: after the PCA (if any), unit length."""
        vectors = self.pooled(images).float()
        return normalize(self.projection(vectors) if self.projection else vectors, dim=1)
