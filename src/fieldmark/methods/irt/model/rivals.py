"""Losses that the paper compares its own with: those of pytorch-metric-learning behind one call, and SNCA."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from fieldmark.engine.precision import full_precision

LossName = Literal["contrastive", "nsoftmax", "proxynca", "multisimilarity", "snca"]
REMEMBER: tuple[LossName, ...] = ("contrastive", "snca")  # these look into the memory
# What the papers divide similarities by: NSoftmax arXiv 1811.12649, ProxyNCA++ arXiv 2004.01113 (a ninth, of squared
# distances), SNCA arXiv 1808.04560. Multi-similarity (arXiv 1904.06627) has weights of its own.
TEMPERATURES: dict[LossName, float] = {"nsoftmax": 0.05, "proxynca": 1 / 9, "snca": 0.05}
EPSILON = 0.1  # multi-similarity: how much harder than the other kind a pair must be to count


class LibraryLoss(nn.Module):
    """A loss of pytorch-metric-learning over a batch, with its proxies: "nsoftmax", "proxynca" or "multisimilarity".

    Embeddings (N, dim) of any length and labels (N,) below `classes` -> a scalar, in float32 for half precision; 0
    for an empty batch. `temperature` is that of the first two, which have one proxy per class. "proxynca" is the loss
    of ProxyNCA++ (all proxies in the denominator); its maximum pooling, layer normalisation and fast proxies are
    parameters elsewhere, or not there.
    """

    def __init__(self, name: LossName, classes: int, dim: int, temperature: float | None = None) -> None:
        super().__init__()
        from pytorch_metric_learning import losses, miners  # brings scikit-learn: only who asks waits for it

        scale = temperature or TEMPERATURES.get(name, 1.0)
        known: dict[LossName, Callable[[], nn.Module]] = {
            "nsoftmax": lambda: losses.NormalizedSoftmaxLoss(classes, dim, temperature=scale),
            "proxynca": lambda: losses.ProxyNCALoss(classes, dim, softmax_scale=1 / scale),
            "multisimilarity": lambda: losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
        }
        self.loss = known[name]()
        self.miner = miners.MultiSimilarityMiner(epsilon=EPSILON) if name == "multisimilarity" else None

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Return the mean over the batch."""
        if len(embeddings) == 0:
            return embeddings.sum()
        with torch.autocast(embeddings.device.type, enabled=False):
            rows = full_precision(embeddings)
            pairs = self.miner(rows, labels) if self.miner else None
            loss: Tensor = self.loss(rows, labels, pairs)
            return loss


def neighbour_loss(
    embeddings: Tensor,
    labels: Tensor,
    reference: Tensor | None = None,
    reference_labels: Tensor | None = None,
    temperature: float = 0.05,
    own: Tensor | None = None,
) -> Tensor:
    """SNCA, eq. 3 of Wu et al., arXiv 1808.04560: -log of the probability that a neighbour has the same label.

    Embeddings (N, D) and reference (M, D) are of unit length; a neighbour is drawn among the reference by a softmax
    of similarities over `temperature`. Without a reference the batch compares itself with itself. `own` (N,) is the
    place of each row's own entry in the reference, which it does not draw (-1: it has none there). Returns the mean
    over the rows whose label is there, in float32 for half precision; 0 without any.
    """
    others = embeddings if reference is None else reference
    other_labels = labels if reference_labels is None else reference_labels
    with torch.autocast(embeddings.device.type, enabled=False):
        logits = full_precision(embeddings) @ full_precision(others).T / temperature
    if reference is None:
        own = torch.arange(len(labels), device=labels.device)
    columns = torch.arange(len(others), device=labels.device)
    drawn = torch.ones_like(logits, dtype=torch.bool) if own is None else own[:, None] != columns[None, :]
    same = drawn & (labels[:, None] == other_labels[None, :])
    some = same.any(dim=1)
    if not bool(some.any()):
        return embeddings.sum() * 0.0
    logits, drawn, same = logits[some], drawn[some], same[some]
    right = logits.masked_fill(~same, -torch.inf).logsumexp(dim=1)
    return (logits.masked_fill(~drawn, -torch.inf).logsumexp(dim=1) - right).mean()
