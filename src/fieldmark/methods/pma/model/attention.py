"""The two scores of PMA and the softmax under a mask.

Source: Song et al., "Bi-Modal Progressive Mask Attention for Fine-Grained Recognition", IEEE Transactions on
Image Processing 29, 2020. Equation numbers are the paper's; their forms are read from its prose.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from fieldmark.engine.precision import full_precision

Relation = Literal["one", "two"]
TIE = 1e-5  # weights that differ from the threshold by rounding alone are at it, not above


class SelfAttentionScore(nn.Module):
    """SAM, eq. 1 of PMA: W2 delta(W1 x), one score per vector; W1 narrows `dim` to dim / `ratio`.

    Song et al., IEEE TIP 29, 2020. Vectors (..., dim) -> scores (...), for a softmax. delta is ReLU for visual and
    tanh for textual vectors. `bias` adds one to both layers; that of the second changes no softmax. Raises
    ValueError for a dimension or ratio below 1; `forward` raises RuntimeError for vectors of another length.

    >>> import torch
    >>> from fieldmark.methods.pma import SelfAttentionScore
    >>> score = SelfAttentionScore(dim=8, ratio=4, activation="tanh")
    >>> score(torch.rand(2, 5, 8)).shape  # 2 pictures with 5 phrases
    torch.Size([2, 5])
    """

    def __init__(
        self, dim: int, ratio: int, activation: Literal["relu", "tanh"] = "relu", bias: bool = True
    ) -> None:
        super().__init__()
        if dim < 1 or ratio < 1:
            raise ValueError(f"dim and ratio must be at least 1, they are {dim} and {ratio}")
        narrow = max(1, dim // ratio)
        self.squeeze = nn.Linear(dim, narrow, bias=bias)
        self.score = nn.Linear(narrow, 1, bias=bias)
        self.activation = torch.relu if activation == "relu" else torch.tanh

    def forward(self, vectors: Tensor) -> Tensor:
        """(..., dim) -> (...)."""
        scores: Tensor = self.score(self.activation(self.squeeze(vectors)))
        return scores.squeeze(-1)


class QueryRelation(nn.Module):
    """QRM, eq. 2 of PMA: the dot product of a key with a query, k . (W3 q).

    Song et al., IEEE TIP 29, 2020. Keys (B, N, key_dim) and one query per sample (B, query_dim) -> scores (B, N).
    `form` "two" projects both, (Wk k) . (Wq q), to the smaller of the two dimensions. `scale` divides by the
    square root of the dimension in which the product is taken. `forward` raises RuntimeError for vectors of other
    lengths.

    >>> import torch
    >>> from fieldmark.methods.pma import QueryRelation
    >>> relation = QueryRelation(key_dim=2, query_dim=2)
    >>> _ = relation.load_state_dict({"query.weight": torch.eye(2)})
    >>> phrases, part = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]), torch.tensor([[2.0, 4.0]])
    >>> relation(phrases, part).detach()
    tensor([[2., 3.]])
    """

    def __init__(self, key_dim: int, query_dim: int, form: Relation = "one", scale: bool = False) -> None:
        super().__init__()
        common = key_dim if form == "one" else min(key_dim, query_dim)
        self.query = nn.Linear(query_dim, common, bias=False)
        self.key = nn.Linear(key_dim, common, bias=False) if form == "two" else None
        self.factor = common**-0.5 if scale else 1.0

    def forward(self, keys: Tensor, query: Tensor) -> Tensor:
        """Keys (B, N, key_dim) and one query per sample (B, query_dim) -> scores (B, N)."""
        projected = keys if self.key is None else self.key(keys)
        return self.factor * torch.einsum("bnd,bd->bn", projected, self.query(query))


def masked_softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    """Softmax over the last axis of (B, N) among what the boolean mask allows, in float32 or better.

    What is not allowed weighs exactly 0; a row that allows nothing is all zeros. No gradient is NaN.
    """
    exact = full_precision(scores)
    some = allowed.any(-1, keepdim=True)
    weights = exact.masked_fill(~allowed & some, -torch.inf).softmax(-1)
    return weights.masked_fill(~allowed, 0.0)


def called_up(weights: Tensor, valid: Tensor, max_count: int, threshold: float | None) -> Tensor:
    """Return which phrases (B, N) a stage has used: among its `max_count` largest weights, and above a threshold.

    `threshold` None stands for 1 / n, n being the number of real phrases of that sample (`valid`): equal
    weights then drop nothing, and a sample's only phrase is never dropped. Needs no gradient.
    """
    count = valid.sum(1, keepdim=True).clamp(min=1)
    bound = torch.full_like(weights, threshold) if threshold is not None else (1.0 / count).expand_as(weights)
    largest = weights.topk(min(max_count, weights.shape[1]), dim=1).indices
    among = torch.zeros_like(valid).scatter(1, largest, True)
    return among & valid & (weights > bound * (1 + TIE))
