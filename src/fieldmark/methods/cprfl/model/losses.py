"""Losses of multi-label classification; each is a mean over pictures and classes, computed from logits.

Sources: the asymmetric loss, arXiv 2408.08125, eq. 7 (Ridnik et al., arXiv 2009.14119); the focal loss, Lin et
al., arXiv 1708.02002, eq. 4; the distribution-balanced loss, Wu et al., arXiv 2007.09654, eq. 5 to 11.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
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


@dataclass(frozen=True)
class Balance:
    """Constants of the distribution-balanced loss, by the names of its paper's code."""

    alpha: float = 0.1  # min of the weights
    beta: float = 10.0  # slope of their rise
    gamma: float = 0.2  # position of their rise
    neg_scale: float = 2.0  # lambda: negatives' logits times this, their loss divided by it
    init_bias: float = 0.05  # kappa: how far a class's prior shifts its logit
    focal: float = 2.0  # exponent of the focal factor
    factor: float = 2.0  # of the whole loss


class DistributionBalancedLoss(nn.Module):
    """Weighs an entry by the fraction of its picture's sampling that its class accounts for; tolerates negatives.

    There is a focal factor per picture and class, as published; CPRFL's code takes one for the whole batch.
    """

    counts: Tensor
    prior: Tensor

    def __init__(self, counts: Tensor, pictures: int, balance: Balance) -> None:
        """`counts` (C,) are the training pictures of each class, among `pictures`."""
        super().__init__()
        self.balance = balance
        # A class in no picture, or in all, has an infinite prior: it counts as in half a picture, or in all but half.
        present = counts.double().clamp(0.5, pictures - 0.5)
        self.register_buffer("counts", present, persistent=False)
        self.register_buffer("prior", -torch.log(pictures / present - 1), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, C) -> a scalar."""
        balance, exact = self.balance, full_precision(logits)
        positive = targets.to(exact)
        shifted = exact + (self.prior * balance.init_bias / balance.neg_scale).to(exact)
        scale = positive + balance.neg_scale * (1 - positive)
        entropy = binary_cross_entropy_with_logits(shifted * scale, positive, reduction="none")
        weight = self.weights(positive) / scale
        return balance.factor * ((1 - torch.exp(-entropy)) ** balance.focal * weight * entropy).mean()

    def weights(self, targets: Tensor) -> Tensor:
        """Targets (B, C) -> weights (B, C); in a picture without any class every weight is at its max."""
        by_class = (1 / self.counts).to(targets)
        by_picture = (targets * by_class).sum(1, keepdim=True)
        rate = by_class / by_picture.clamp(min=torch.finfo(by_class.dtype).tiny)
        return self.balance.alpha + torch.sigmoid(self.balance.beta * (rate - self.balance.gamma))


def _focused(log_probability: Tensor, opposite: Tensor, gamma: float) -> Tensor:
    """Weigh by the probability of the `opposite` logits to the power of gamma; the weight has no gradient."""
    return log_probability if gamma == 0 else opposite.detach().sigmoid() ** gamma * log_probability
