"""From the name of a loss to the loss itself, with the constants of the block."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fieldmark.engine.precision import full_precision
from fieldmark.methods.cprfl.model.balancing import (
    Balance,
    ClassBalancedLoss,
    DistributionBalancedLoss,
    MarginLoss,
    ReweightedLoss,
)
from fieldmark.methods.cprfl.model.losses import asymmetric_loss, focal_loss
from fieldmark.methods.cprfl.model.names import Loss
from fieldmark.methods.cprfl.model.params import CprflParams

Criterion = Callable[[Tensor, Tensor], Tensor]  # logits and targets (B, C) -> a scalar
PLAIN = {
    "neg_scale": 1.0,
    "init_bias": 0.0,
    "focal": 0.0,
    "factor": 1.0,
}  # no tolerance of negatives and no focus
UNFOCUSED = {"focal": 0.0, "factor": 0.5}  # CPRFL's code halves the loss where there is no focus


def make_criterion(name: Loss, params: CprflParams, targets: Tensor) -> Criterion:
    """Return the loss called `name`; `targets` (N, C) are those of the training pictures, from which classes count."""
    if name in ("BCE", "focal", "ASL"):
        return _of_the_entry(name, params)
    return _of_the_class(name, params, targets)


def _of_the_entry(name: Loss, params: CprflParams) -> Criterion:
    if name == "BCE":
        return _cross_entropy
    if name == "focal":
        return partial(focal_loss, gamma=params.focal_gamma)
    return partial(asymmetric_loss, **params.asymmetric.model_dump())


def _of_the_class(name: Loss, params: CprflParams, targets: Tensor) -> nn.Module:
    counts, pictures = targets.sum(0), max(1, len(targets))
    balance = Balance(**params.balance.model_dump(), focal=params.focal_gamma)
    if name == "RW":
        return ReweightedLoss(counts, pictures, replace(balance, **PLAIN))
    if name == "CB":
        chosen = params.class_balanced
        tolerance = {"neg_scale": chosen.neg_scale, "init_bias": chosen.init_bias}
        return ClassBalancedLoss(counts, pictures, replace(balance, **tolerance), chosen.decay)
    if name == "LDAM":
        return MarginLoss(counts, **params.ldam.model_dump())
    changes = {"R-BCE": PLAIN, "DB-0": UNFOCUSED}.get(name, {})
    return DistributionBalancedLoss(counts, pictures, replace(balance, **changes))


def _cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy; torch's MultiLabelSoftMarginLoss (MLS) is the same."""
    exact = full_precision(logits)
    return binary_cross_entropy_with_logits(exact, targets.to(exact))
