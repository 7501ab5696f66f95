"""What is on top of the encoder while it is pretrained: cross-attention, position classifier, clustering head."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from fieldmark.methods.loca.model.encoder import initialise_mlp, lecun, xavier
from fieldmark.methods.loca.model.params import HeadParams

EPS = 1e-6  # of every LayerNorm
NORM_FLOOR = 1e-10  # beside the length of a prototype


class TanhGelu(nn.GELU):
    """The tanh approximation, as in the release."""

    def __init__(self) -> None:
        super().__init__(approximate="tanh")


class CrossAttention(nn.Module):
    """One transformer block in which query patches look at patches of the reference; then a LayerNorm."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        from timm.layers.mlp import Mlp  # timm takes seconds: only those who build the head wait

        self.heads = heads
        self.norm_query, self.norm_reference = nn.LayerNorm(dim, EPS), nn.LayerNorm(dim, EPS)
        self.query, self.key_value, self.proj = (
            nn.Linear(dim, dim),
            nn.Linear(dim, 2 * dim),
            nn.Linear(dim, dim),
        )
        self.norm_mlp, self.norm = nn.LayerNorm(dim, EPS), nn.LayerNorm(dim, EPS)
        self.mlp = Mlp(dim, hidden, act_layer=TanhGelu)
        for layer in (self.query, self.key_value, self.proj):
            xavier(layer)
        for part in self.key_value.weight.chunk(2):
            nn.init.xavier_uniform_(part)
        initialise_mlp(self.mlp)

    def forward(self, queries: Tensor, reference: Tensor) -> Tensor:
        """(B, N, dim) and (B, M, dim) -> (B, N, dim)."""
        query = self._split(self.query(self.norm_query(queries)))
        key, value = self.key_value(self.norm_reference(reference)).chunk(2, dim=-1)
        mixed = scaled_dot_product_attention(query, self._split(key), self._split(value))
        queries = queries + self.proj(mixed.transpose(1, 2).flatten(2))
        out: Tensor = self.norm(queries + self.mlp(self.norm_mlp(queries)))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        split: Tensor = tokens.unflatten(2, (self.heads, -1))
        return split.transpose(1, 2)


class PositionHead(nn.Module):
    """Patch features, and what of the reference is visible, to logits over the reference's patches (eq. 1)."""

    def __init__(self, encoder: Any, patches: int, crossed: bool) -> None:
        super().__init__()
        dim, block = encoder.embed_dim, encoder.blocks[0]
        hidden = block.mlp.fc1.out_features
        self.cross = CrossAttention(dim, block.attn.num_heads, hidden) if crossed else None
        self.classifier = nn.Linear(dim, patches)
        lecun(self.classifier)

    def forward(self, queries: Tensor, reference: Tensor | None = None) -> Tensor:
        """(B, N, dim) and (B, M, dim) -> (B, N, patches); without cross-attention from the queries alone."""
        if self.cross is not None and reference is not None:
            queries = self.cross(queries, reference)
        out: Tensor = self.classifier(queries)
        return out


class BoxHead(nn.Module):
    """Features of whole queries, and what of the reference is visible, to boxes: DETR's perceptron of three layers."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        dim, block = encoder.embed_dim, encoder.blocks[0]
        self.cross = CrossAttention(dim, block.attn.num_heads, block.mlp.fc1.out_features)
        self.mlp = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 4)
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                xavier(layer)

    def forward(self, queries: Tensor, reference: Tensor) -> Tensor:
        """(B, N, dim) and (B, M, dim) -> (B, N, 4) in (0, 1): centre y and x, height, width in the reference."""
        out: Tensor = self.mlp(self.cross(queries, reference)).sigmoid()
        return out


class ProjectionHead(nn.Module):
    """Patch features -> cosines with the prototypes."""

    def __init__(self, dim: int, params: HeadParams) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(dim, params.hidden),
            TanhGelu(),
            nn.Linear(params.hidden, params.hidden),
            TanhGelu(),
            nn.Linear(params.hidden, params.bottleneck),
        )
        self.prototypes = nn.Linear(params.bottleneck, params.prototypes, bias=False)
        for layer in (*self.mlp, self.prototypes):
            if isinstance(layer, nn.Linear):
                lecun(layer)
        with torch.no_grad():
            self.prototypes.weight.div_(self.prototypes.weight.norm(dim=1, keepdim=True) + NORM_FLOOR)

    def forward(self, features: Tensor) -> Tensor:
        """(..., dim) -> (..., prototypes) in [-1, 1]; the gradient flows through both normalisations (eq. 3)."""
        directions = self.mlp(features)
        directions = directions / directions.norm(dim=-1, keepdim=True)
        weight = self.prototypes.weight
        return linear(directions, weight / (weight.norm(dim=1, keepdim=True) + NORM_FLOOR))
