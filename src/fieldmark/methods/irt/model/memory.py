"""The cross-batch memory: descriptors of recent batches, without gradient (Wang et al. 2020)."""

from typing import Any

import torch
from torch import Tensor, nn


class MemoryBank(nn.Module):
    """A first-in first-out queue of `size` descriptors of dimension `dim` with their labels."""

    features: Tensor
    labels: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a memory needs at least one place, not {size}")
        self.size, self.pointer, self.filled = size, 0, 0
        self.register_buffer("features", torch.zeros(size, dim))
        self.register_buffer("labels", torch.full((size,), -1, dtype=torch.long))

    @torch.no_grad()
    def enqueue(self, embeddings: Tensor, labels: Tensor) -> None:
        """Append rows (N, dim) with labels (N,); the oldest leave. Of more than `size` rows the last stay."""
        embeddings, labels = embeddings.detach()[-self.size :], labels[-self.size :]
        places = (self.pointer + torch.arange(len(labels), device=labels.device)) % self.size
        self.features[places] = embeddings.to(self.features.dtype)
        self.labels[places] = labels
        self.pointer = (self.pointer + len(labels)) % self.size
        self.filled = min(self.size, self.filled + len(labels))

    def get(self) -> tuple[Tensor, Tensor]:
        """Return the stored descriptors (M, dim) and labels (M,), M <= size, in no particular order."""
        return self.features[: self.filled].clone(), self.labels[: self.filled].clone()

    def get_extra_state(self) -> dict[str, int]:
        """Return the queue's position, for `state_dict`."""
        return {"pointer": self.pointer, "filled": self.filled}

    def set_extra_state(self, state: Any) -> None:
        """Restore the queue's position."""
        self.pointer, self.filled = state["pointer"], state["filled"]
