"""Pooling: from a feature map or tokens to one vector per picture."""

from typing import TYPE_CHECKING, Literal

from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.base.errors import UserError
from fieldmark.vision.libraries import Features

if TYPE_CHECKING:
    from fieldmark.vision.backbones import BackboneSpec

Pooling = Literal["cls", "cls_distilled", "average", "max", "gem", "rmac"]
GEM_POWER = 3.0
GEM_FLOOR = 1e-6
RMAC_LEVELS, RMAC_OVERLAP = 3, 0.4
RMAC_MOST = 7  # regions along the longer side at level 1


def pool(features: Features, pooling: Pooling) -> Tensor:
    """Pool features to (B, D): a token, the mean of class and distillation token, or all positions of the feature map.

    Raises UserError for a token that the network does not have.
    """
    if pooling in ("cls", "cls_distilled"):
        if features.cls is None:
            raise UserError(
                "pooling 'cls' needs a transformer with a class token; use average, max, gem or rmac"
            )
        if pooling == "cls":
            return features.cls
        if features.distilled is None:
            raise UserError("pooling 'cls_distilled' needs a network distilled with a token; use cls")
        return (features.cls + features.distilled) / 2
    if pooling == "rmac":
        return regional_maxima(features.feature_map)
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


def regional_maxima(feature_map: Tensor, levels: int = RMAC_LEVELS) -> Tensor:
    """R-MAC over (B, D, H, W): the sum of unit-length maxima of square regions at several scales.

    Tolias et al., "Particular object retrieval with integral max-pooling", ICLR 2016, arXiv 1511.05879, as Radenovic et
    al. (arXiv 1711.02512) compute it: the maximum over the whole map counts as one more region, nothing is whitened.
    """
    height, width = feature_map.shape[-2:]
    total = normalize(feature_map.amax((2, 3)), dim=1)
    for top, left, side in regions(height, width, levels):
        part = feature_map[:, :, top : top + side, left : left + side]
        total = total + normalize(part.amax((2, 3)), dim=1)
    return total


def regions(height: int, width: int, levels: int = RMAC_LEVELS) -> list[tuple[int, int, int]]:
    """Return (top, left, side) of the square regions of a map, in its cells.

    At level l a region has the side 2 s / (l + 1), where s is the shorter side of the map, and there are l of them
    along it; along the longer side there are as many more as bring the overlap at level 1 nearest to 40 %. Regions of
    no cell are left out.
    """
    shorter = min(height, width)
    more = _additional(shorter, max(height, width) - shorter)
    placed = []
    for level in range(1, levels + 1):
        side = 2 * shorter // (level + 1)
        rows = _starts(height - side, level + (more if height > width else 0))
        columns = _starts(width - side, level + (more if width > height else 0))
        placed += [(top, left, side) for top in rows for left in columns if side]
    return placed


def _additional(shorter: int, excess: int) -> int:
    """Return how many regions the longer side has beyond those of the shorter one, which it exceeds by `excess`."""
    if not excess:
        return 0
    overlaps = [(shorter - excess / (number - 1)) / shorter for number in range(2, RMAC_MOST + 1)]
    return min(range(len(overlaps)), key=lambda index: abs(overlaps[index] - RMAC_OVERLAP)) + 1


def _starts(room: int, number: int) -> list[int]:
    """Return where `number` regions begin that share the `room` which is left beside one of them."""
    return [index * room // (number - 1) for index in range(number)] if number > 1 else [0]
