"""The visual-semantic interaction (VSI): one encoder in which category prompts look at a picture.

Source: Yan et al., arXiv 2408.08125, eq. 3 to 5. The norm before each part and the linear layer after the attention
are in the authors' code only. Neither the equations nor the code have residual connections.
"""

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    """Multi-head attention over all tokens, behind a norm; no residual connection."""

    def __init__(self, dim: int, heads: int, head_dim: int, dropout: float) -> None:
        super().__init__()
        self.heads, inner = heads, heads * head_dim
        self.norm = nn.LayerNorm(dim)
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, last: int) -> Tensor:
        """(B, n, dim) -> (B, last, dim): what the last tokens read from all."""
        query, key, value = self._projected(tokens, last)
        attended = scaled_dot_product_attention(query, key, value)
        out: Tensor = self.dropout(self.to_out(attended.transpose(1, 2).flatten(2)))
        return out

    def weights(self, tokens: Tensor, last: int) -> Tensor:
        """(B, n, dim) -> (B, heads, last, n): where the last tokens look; a row sums to 1."""
        query, key, _ = self._projected(tokens, last)
        looks: Tensor = (query @ key.mT / key.shape[-1] ** 0.5).softmax(-1)
        return looks

    def _projected(self, tokens: Tensor, last: int) -> list[Tensor]:
        """Return query (B, heads, last, head_dim), and key and value of all n tokens."""
        normed, inner = self.norm(tokens), self.to_out.in_features
        query_weight, rest = self.to_qkv.weight.split([inner, 2 * inner])
        query = nn.functional.linear(normed[:, normed.shape[1] - last :], query_weight)
        key, value = nn.functional.linear(normed, rest).chunk(2, dim=-1)
        return [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)]


class FeedForward(nn.Sequential):
    """Norm, linear, GELU, linear; no residual connection."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__(
            nn.LayerNorm(dim),
            nn.Linear(dim, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
            nn.Dropout(dropout),
        )


class VisualSemanticInteraction(nn.Module):
    """Eq. 3 to 5 of CPRFL: attention, then feed-forward, `depth` times; no residual connections.

    Yan et al., arXiv 2408.08125. Tokens (B, v + c, dim), the v positions of a picture and then its c category
    prompts, -> the same shape. There are `heads` heads of width `head_dim`; `mlp_dim` is the hidden width of the
    feed-forward. Raises ValueError for a dimension, a number of heads or a depth below 1; `forward` raises
    RuntimeError for tokens of another width.

    >>> import torch
    >>> from fieldmark.methods.cprfl import VisualSemanticInteraction
    >>> interaction = VisualSemanticInteraction(dim=8, heads=2, head_dim=4, mlp_dim=16)
    >>> tokens = torch.rand(1, 6 + 3, 8)  # 6 positions, 3 classes
    >>> interaction(tokens).shape
    torch.Size([1, 9, 8])
    >>> interaction(tokens, last=3).shape  # what the prompts read
    torch.Size([1, 3, 8])
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, mlp_dim: int, depth: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if min(dim, heads, head_dim, mlp_dim, depth) < 1:
            raise ValueError("dim, heads, head_dim, mlp_dim and depth must be at least 1")
        self.layers = nn.ModuleList(
            nn.ModuleList([Attention(dim, heads, head_dim, dropout), FeedForward(dim, mlp_dim, dropout)])
            for _ in range(depth)
        )

    def forward(self, tokens: Tensor, last: int | None = None) -> Tensor:
        """(B, n, dim) -> the same shape; with `last` only the last tokens' rows, (B, last, dim).

        Those rows are the same either way; in the last layer the others are not computed.
        """
        for number, (attention, feed_forward) in enumerate(self._pairs()):
            final = number == len(self.layers) - 1
            rows = tokens.shape[1] if last is None or not final else last
            tokens = feed_forward(attention(tokens, rows))
        return tokens

    def attention(self, tokens: Tensor, last: int) -> Tensor:
        """(B, n, dim) -> (B, last, n): where the last tokens look in the last layer, mean over the heads."""
        pairs = self._pairs()
        for attention, feed_forward in pairs[:-1]:
            tokens = feed_forward(attention(tokens, tokens.shape[1]))
        return pairs[-1][0].weights(tokens, last).mean(1)

    def _pairs(self) -> list[tuple[Attention, FeedForward]]:
        return [(layer[0], layer[1]) for layer in self.layers]  # type: ignore[index, misc]
