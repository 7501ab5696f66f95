"""The cross-batch memory: descriptors of recent batches, without gradient.

Source: Wang et al., "Cross-Batch Memory for Embedding Learning", CVPR 2020, arXiv 1912.06798.
"""

from typing import Any

import torch
from torch import Tensor, nn


class MemoryBank(nn.Module):
    """A first-in first-out queue of `size` descriptors of dimension `dim` with their labels.

    Wang et al., arXiv 1912.06798; IRT (arXiv 2102.05644) compares each batch with it by eq. 1. `enqueue` takes rows
    (N, dim) and labels (N,), `get` returns what is stored, (M, dim) and (M,), M <= size. The rows have no gradient
    and are part of `state_dict`. Raises ValueError for a size below 1; `enqueue` raises RuntimeError for rows of
    another length.

    >>> import torch
    >>> from fieldmark.methods.irt import MemoryBank
    >>> memory = MemoryBank(size=2, dim=1)
    >>> memory.enqueue(torch.tensor([[0.1], [0.2]]), torch.tensor([0, 1]))
    tensor([0, 1])
    >>> memory.enqueue(torch.tensor([[0.3]]), torch.tensor([2]))  # replaces the oldest
    tensor([0])
    >>> embeddings, labels = memory.get()
    >>> labels
    tensor([2, 1])
    """

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
    def enqueue(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Append rows (N, dim) with labels (N,); the oldest are overwritten. Of more than `size` rows the last stay.

        Returns the place of each row in what `get` returns from then on, (N,); -1 for rows that did not stay.
        """
        places = torch.full_like(labels, -1)
        embeddings, labels = embeddings.detach()[-self.size :], labels[-self.size :]
        indices = (self.pointer + torch.arange(len(labels), device=labels.device)) % self.size
        self.features[indices] = embeddings.to(self.features.dtype)
        self.labels[indices] = labels
        self.pointer = (self.pointer + len(labels)) % self.size
        self.filled = min(self.size, self.filled + len(labels))
        places[len(places) - len(indices) :] = indices
        return places

    def get(self) -> tuple[Tensor, Tensor]:
        """Return the stored descriptors (M, dim) and labels (M,), M <= size, by place.

        They are no copies: a later `enqueue` writes into them. A loss must be computed backwards before that.
        """
        return self.features[: self.filled], self.labels[: self.filled]

    def get_extra_state(self) -> dict[str, int]:
        """Return the queue's position, for `state_dict`."""
        return {"pointer": self.pointer, "filled": self.filled}

    def set_extra_state(self, state: Any) -> None:
        """Restore the queue's position."""
        self.pointer, self.filled = state["pointer"], state["filled"]
