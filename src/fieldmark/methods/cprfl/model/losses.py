"""Losses of multi-label classification; each is a mean over pictures and classes, computed from logits.

Sources: the asymmetric loss, arXiv 2408.08125, eq. 7 (Ridnik et al., arXiv 2009.14119); the focal loss, Lin et
al., arXiv 1708.02002, eq. 4.
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from fieldmark.engine.precision import full_precision


def asymmetric_loss(
    logits: Tensor, targets: Tensor, gamma_pos: float = 0.0, gamma_neg: float = 4.0, clip: float = 0.05
) -> Tensor:
    """Eq. 7 of CPRFL as its code has it: logits and targets (B, C), targets 0 or 1 -> a scalar; 0 for no entries.

    Yan et al., arXiv 2408.08125; the loss is that of Ridnik et al., arXiv 2009.14119. The mean over pictures and
    classes of -(1 - p)^gamma_pos log p for positives and -q^gamma_neg log(1 - q) for negatives, where p is a
    probability and q = max(p - clip, 0). The focusing weights are detached. Logarithms are taken of logits,
    so a positive far below zero keeps its gradient. Half precision is computed in float32 and returned so. Raises
    ValueError for shapes that differ, and for a negative exponent or clip.

    >>> import torch
    >>> from fieldmark.methods.cprfl import asymmetric_loss
    >>> logits, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    >>> asymmetric_loss(logits, targets)
    tensor(0.0757)
    >>> asymmetric_loss(logits, targets, gamma_neg=0.0, clip=0.0)  # binary cross-entropy
    tensor(0.4100)
    """
    if logits.shape != targets.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} must agree")
    if min(gamma_pos, gamma_neg, clip) < 0:
        raise ValueError(f"gamma_pos {gamma_pos}, gamma_neg {gamma_neg} and clip {clip} must not be negative")
    exact = full_precision(logits)
    positive = targets.to(exact)
    absent = (exact.sigmoid().neg() + (1 + clip)).clamp(max=1)
    log_absent = absent.log() if clip else logsigmoid(-exact)
    loss = positive * _focused(logsigmoid(exact), -exact, gamma_pos)
    weight = (1 - absent.detach()) ** gamma_neg
    loss = loss + (1 - positive) * weight * log_absent
    return -loss.sum() / max(1, loss.numel())


def focal_loss(logits: Tensor, targets: Tensor, gamma: float = 2.0) -> Tensor:
    """Logits and targets (B, C) -> the mean of (1 - p_t)^gamma times the binary cross-entropy."""
    exact = full_precision(logits)
    entropy = binary_cross_entropy_with_logits(exact, targets.to(exact), reduction="none")
    return ((1 - torch.exp(-entropy)) ** gamma * entropy).mean()


def _focused(log_probability: Tensor, opposite: Tensor, gamma: float) -> Tensor:
    """Weigh by the probability of the `opposite` logits to the power of gamma; the weight has no gradient."""
    return log_probability if gamma == 0 else opposite.detach().sigmoid() ** gamma * log_probability
