"""From a feature map to one logit per category: by refined category prompts, or by a linear classifier.

Source: Yan et al., arXiv 2408.08125, eq. 1, 2 and 6.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fieldmark.methods.cprfl.model.interaction import VisualSemanticInteraction


@dataclass(frozen=True)
class Widths:
    """The sizes of CPRFL's parts; `prompt` is the prompt network's hidden width, 0 for a linear layer."""

    dim: int
    prompt: int
    heads: int
    head_dim: int
    mlp_dim: int
    depth: int = 1
    dropout: float = 0.0


def prompt_network(width: int, hidden: int, dim: int) -> nn.Module:
    """Eq. 2 (PI): vectors (C, width) -> prompts (C, dim); hidden 0: a linear layer, as baseline."""
    if not hidden:
        return nn.Linear(width, dim)
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, dim))


class PromptHead(nn.Module):
    """CPRFL behind a backbone: prompts look at the feature map, and each scores its own category.

    The category vectors (C, m) are a buffer: they get no gradient and never change.
    """

    vectors: Tensor

    def __init__(
        self,
        channels: int,
        vectors: Tensor,
        widths: Widths,
        no_feature_grad: bool = False,
        no_cls_grad: bool = False,
    ) -> None:
        """`no_feature_grad` detaches the interaction's output, `no_cls_grad` the prompts as classifiers."""
        super().__init__()
        self.no_feature_grad, self.no_cls_grad = no_feature_grad, no_cls_grad
        self.register_buffer("vectors", vectors.float())
        self.projection = nn.Linear(channels, widths.dim)
        self.prompt_network = prompt_network(vectors.shape[1], widths.prompt, widths.dim)
        self.interaction = VisualSemanticInteraction(
            widths.dim, widths.heads, widths.head_dim, widths.mlp_dim, widths.depth, widths.dropout
        )
        # Modules without a gradient are marked as such, so that distributed training does not wait for their gradient.
        if no_feature_grad:
            self.projection.requires_grad_(False)
            self.interaction.requires_grad_(False)

    def prompts(self) -> Tensor:
        """Return the category prompts (C, dim)."""
        out: Tensor = self.prompt_network(self.vectors)
        return out

    def forward(self, feature_map: Tensor) -> Tensor:
        """Eq. 3 to 6: feature map (B, D, h, w) -> logits (B, C), float32 at least; B may be 1."""
        prompts = self.prompts()
        refined = self.interaction(self._tokens(feature_map, prompts), last=len(prompts))
        classifiers = prompts.detach() if self.no_cls_grad else prompts
        if self.no_feature_grad:
            refined = refined.detach()
        exact = torch.promote_types(refined.dtype, torch.float32)
        logits: Tensor = (refined.to(exact) * classifiers.to(exact)).sum(-1)
        return logits

    def attention(self, feature_map: Tensor) -> Tensor:
        """Feature map (B, D, h, w) -> where each category's prompt looks, (B, C, h, w); the rest of 1 is on prompts."""
        prompts = self.prompts()
        weights = self.interaction.attention(self._tokens(feature_map, prompts), last=len(prompts))
        looks: Tensor = weights[..., : -len(prompts)].unflatten(2, feature_map.shape[2:])
        return looks

    def _tokens(self, feature_map: Tensor, prompts: Tensor) -> Tensor:
        """Z = [F; P], (B, h w + C, dim): the feature map's positions row by row, then the prompts."""
        features = self.projection(feature_map.flatten(2).mT)
        # The shape, not `len`: an exported graph would keep the length of its example.
        shared = prompts.to(features.dtype).expand(features.shape[0], -1, -1)
        return torch.cat([features, shared], dim=1)


class LinearHead(nn.Module):
    """The baseline: a linear classifier of the mean of the feature map."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(channels, classes)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Feature map (B, D, h, w) -> logits (B, C)."""
        out: Tensor = self.classifier(feature_map.mean((2, 3)))
        return out
