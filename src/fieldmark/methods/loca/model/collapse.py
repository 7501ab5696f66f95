"""Signs of collapse: all patches alike, one prototype for everything, or targets that say nothing."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

FEW_PROTOTYPES = 0.02  # fraction of the prototypes that predictions use, below which they have collapsed
VAGUE_TARGETS = 0.98  # entropy of the targets, as a fraction of the largest, above which they say nothing
FLAT_FEATURES = 0.05  # spread of the features below which all patches look alike


@torch.no_grad()
def feature_spread(features: Tensor) -> Tensor:
    """Return the std of unit-length `features` (B, N, D) over all patches: 0 all alike, 1 all directions.

    The mean over dimensions, times the root of D.
    """
    directions = normalize(features.detach().float().flatten(0, 1), dim=1)
    return directions.std(0, unbiased=False).mean() * math.sqrt(directions.shape[1])


@torch.no_grad()
def target_entropy(targets: Tensor) -> Tensor:
    """Return the mean entropy of the rows of `targets` (N, K) over ln K: 0 for hard choices, 1 for none."""
    entropies: Tensor = torch.special.entr(targets).sum(1)
    return entropies.mean() / math.log(targets.shape[1])


@torch.no_grad()
def prototype_use(me_max: Tensor, prototypes: int) -> Tensor:
    """Return the fraction of the prototypes that the mean prediction uses, from its negative entropy."""
    return torch.exp(-me_max.detach()) / prototypes


def diagnosis(point: Mapping[str, float]) -> str | None:
    """Say how a run has collapsed, from a point of its training curve; None for a healthy run.

    Looks at `prototypes`, `target_entropy` and `feature_std` where the point has them.
    """
    if point.get("prototypes", math.inf) < FEW_PROTOTYPES:
        return f"collapsed: {100 * point['prototypes']:.2g} % of the prototypes take all patches"
    if point.get("target_entropy", -math.inf) > VAGUE_TARGETS:
        return f"collapsed: the targets are uniform (entropy {point['target_entropy']:.3f} of the largest)"
    if point.get("feature_std", math.inf) < FLAT_FEATURES:
        return f"collapsed: all patches have the same features (spread {point['feature_std']:.3g})"
    return None
