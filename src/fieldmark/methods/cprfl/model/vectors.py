"""The category vectors that prompts are made of: CLIP's text embeddings, or what they are compared with."""

from typing import Literal

import torch
from torch import Tensor

Vectors = Literal["clip", "random", "one-hot"]


def category_vectors(kind: Vectors, embeddings: Tensor, length: float | None, seed: int) -> Tensor:
    """Return vectors (C, m) of a kind for categories with CLIP embeddings (C, m); one-hot vectors are (C, C).

    All kinds have the same root mean square length, so that they differ in direction alone: `length`, or where
    it is None that of the embeddings, which are then taken as they are. Vectors much shorter than the square root
    of m count little beside the first bias of the prompt network: all prompts are then nearly equal at first.
    """
    clip_length = embeddings.float().square().sum(1).mean().sqrt()
    wanted = clip_length if length is None else torch.tensor(length)
    if kind == "clip":
        return embeddings.float() * (wanted / clip_length)
    if kind == "one-hot":
        return torch.eye(len(embeddings)) * wanted
    drawn = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(seed))
    rows: Tensor = drawn / drawn.norm(dim=1, keepdim=True) * wanted
    return rows
