"""Pooling: from a feature map or tokens to one vector per picture."""

from typing import TYPE_CHECKING, Literal

from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.vision.libraries import Features

if TYPE_CHECKING:
    from fieldmark.vision.backbones import BackboneSpec

Pooling = Literal["cls", "cls_distilled", "average", "max", "gem"]
GEM_POWER = 3.0
GEM_FLOOR = 1e-6


def pool(features: Features, pooling: Pooling) -> Tensor:
    """Pool features to (B, D): a token, the mean of class and distillation token, or all positions of the feature map.

    Raises UserError for a token that the network does not have.
    """
    if pooling in ("cls", "cls_distilled"):
        if features.cls is None:
            raise UserError("pooling 'cls' needs a transformer with a class token; use average, max or gem")
        if pooling == "cls":
            return features.cls
        if features.distilled is None:
            raise UserError("pooling 'cls_distilled' needs a network distilled with a token; use cls")
        return (features.cls + features.distilled) / 2
    positions = features.feature_map.flatten(2)
    if pooling == "average":
        return positions.mean(2)
    if pooling == "max":
        return positions.amax(2)
    return generalised_mean(positions)


def require_tokens(pooling: Pooling, spec: "BackboneSpec", where: str) -> None:
    """Raise UserError when a network lacks a token that the pooling takes, before anything is computed.

    `where` names the parameter.
    """
    if pooling in ("cls", "cls_distilled") and not spec.has_cls:
        raise UserError(
            f"{where} '{pooling}' needs a class token, {spec.arch} has none; use average, max or gem"
        )
    if pooling == "cls_distilled" and not spec.has_distilled:
        raise UserError(
            f"{where} 'cls_distilled' needs a network distilled with a token, {spec.arch} is none; use cls"
        )


def generalised_mean(positions: Tensor, power: float = GEM_POWER) -> Tensor:
    """GeM over (B, D, M): mean of the p-th powers, then the p-th root (Radenovic et al. 2018, eq. 3).

    Values below a small floor count as that floor, so that negative activations have no p-th root to take.
    """
    return positions.clamp(min=GEM_FLOOR).pow(power).mean(2).pow(1.0 / power)
