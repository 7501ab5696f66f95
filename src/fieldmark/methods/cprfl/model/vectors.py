"""The category vectors that prompts are made of: CLIP's text embeddings, or what they are compared with."""

import torch
from torch import Tensor

from fieldmark.methods.cprfl.model.params import Vectors


def category_vectors(kind: Vectors, embeddings: Tensor, seed: int) -> Tensor:
    """Return vectors (C, m) of a kind for categories with CLIP embeddings (C, m); one-hot ones are (C, C).

    All have the root mean square length of the embeddings, so that kinds differ in direction alone.
    """
    length = embeddings.float().square().sum(1).mean().sqrt()
    if kind == "clip":
        return embeddings.float()
    if kind == "one-hot":
        return torch.eye(len(embeddings)) * length
    drawn = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm(dim=1, keepdim=True) * length
