"""Losses that know how often each class occurs in training; each is a mean over pictures and classes, from logits.

Sources: the distribution-balanced loss and its parts, Wu et al., arXiv 2007.09654, eq. 5 to 11; class-balanced weights,
Cui et al., arXiv 1901.05555, eq. 2; margins, Cao et al., arXiv 1906.07413, eq. 12. The weights of Cui et al. and the
margins are for one label per picture; what they become with several is said where they are.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fieldmark.engine.precision import full_precision


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


class WeightedLoss(nn.Module, ABC):
    """Binary cross-entropy with a weight per entry, tolerance of negatives and a focal factor.

    The tolerance is that of Wu et al., eq. 9: a logit is shifted by the prior of its class, and a negative's is scaled.
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

    @abstractmethod
    def weights(self, targets: Tensor) -> Tensor:
        """Targets (B, C) of 0 and 1 -> weights that broadcast to (B, C)."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, C) -> a scalar."""
        balance, exact = self.balance, full_precision(logits)
        positive = targets.to(exact)
        shifted = exact + (self.prior * balance.init_bias / balance.neg_scale).to(exact)
        scale = positive + balance.neg_scale * (1 - positive)
        entropy = binary_cross_entropy_with_logits(shifted * scale, positive, reduction="none")
        weight = self.weights(positive) / scale
        return balance.factor * ((1 - torch.exp(-entropy)) ** balance.focal * weight * entropy).mean()


class DistributionBalancedLoss(WeightedLoss):
    """Weighs an entry by the fraction of its picture's sampling that its class accounts for; tolerates negatives.

    With `focal` 0 and factor 1/2 it is the published DB loss without focus (DB-0FL) as CPRFL's code weighs it; with no
    tolerance either (`neg_scale` 1, `init_bias` 0), re-balanced binary cross-entropy (R-BCE, eq. 7).
    """

    def weights(self, targets: Tensor) -> Tensor:
        """Targets (B, C) -> weights (B, C); in a picture without any class every weight is at its max."""
        by_class = (1 / self.counts).to(targets)
        by_picture = (targets * by_class).sum(1, keepdim=True)
        rate = by_class / by_picture.clamp(min=torch.finfo(by_class.dtype).tiny)
        return self.balance.alpha + torch.sigmoid(self.balance.beta * (rate - self.balance.gamma))


class ClassBalancedLoss(WeightedLoss):
    """Focal loss weighed by class, 1 / (1 - decay^n) for a class of n training pictures (Cui et al., eq. 2).

    Their (1 - decay) above the line is left out, so that a frequent class weighs 1 (CPRFL's code has it, and a factor
    of 10 at decay 0.9, which is the same). With several labels, both entries of a class, present and absent, have its
    weight ("by class").
    """

    def __init__(self, counts: Tensor, pictures: int, balance: Balance, decay: float) -> None:
        super().__init__(counts, pictures, balance)
        self.decay = decay

    def weights(self, targets: Tensor) -> Tensor:
        """Return (C,), whatever the targets are."""
        return (1 / (1 - self.decay**self.counts)).to(targets)


class ReweightedLoss(WeightedLoss):
    """Weighs a class by one over the square root of its training pictures; the weights' mean over classes is 1.

    It is the baseline of re-weighting (RW) of Wu et al.; their weights, without the mean taken out, are a multiple.
    """

    def weights(self, targets: Tensor) -> Tensor:
        """Return (C,), whatever the targets are."""
        rarity = self.counts.rsqrt()
        return (rarity / rarity.mean()).to(targets)


class MarginLoss(nn.Module):
    """LDAM for several labels: a positive must pass a margin that is wider for a rare class.

    The margin of a class of n training pictures is `margin` (n_min / n)^(1/4), so that the rarest class has `margin`
    (Cao et al., eq. 12). It is taken off the logits of positives; then binary cross-entropy of `scale` times the
    logits. The scale of 30 in their code is for cosines; logits that are not bounded need none.
    """

    margins: Tensor

    def __init__(self, counts: Tensor, margin: float, scale: float) -> None:
        """`counts` (C,) are the training pictures of each class; a class without any has the widest margin."""
        super().__init__()
        self.scale = scale
        present = counts[counts > 0].double()
        fewest = present.min() if len(present) else torch.tensor(1.0, dtype=torch.float64)
        margins = margin * (fewest / counts.double().clamp(min=fewest)) ** 0.25
        self.register_buffer("margins", margins, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits and targets (B, C) -> a scalar."""
        exact = full_precision(logits)
        positive = targets.to(exact)
        held = self.scale * (exact - positive * self.margins.to(exact))
        return binary_cross_entropy_with_logits(held, positive)
