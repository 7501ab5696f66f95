"""The smallest network of every family of timm: a map of the promised shape, or one line that names the network."""

import pytest
import torch

from fieldmark.base.errors import UserError
from fieldmark.vision.backbones import NetworkParams, create_backbone

SMALL = (
    "test_",
    "atto",
    "femto",
    "pico",
    "zepto",
    "nano",
    "_xxs",
    "xx_small",
    "_xs",
    "x_small",
    "tiny",
    "small",
    "18",
)
LARGE = ("large", "giant", "huge", "base", "medium", "_l", "_xl", "so400", "so150")
NONE = {
    "coat",
    "crossvit",
    "efficientformer",
    "efficientvim",
    "levit",
    "xcit",
}  # families known to have no map


def smallest(names: list[str]) -> str:
    """Return a small network of a family, as far as names tell."""

    def rank(name: str) -> tuple[int, int, str]:
        small = min((place for place, word in enumerate(SMALL) if word in name), default=len(SMALL))
        return sum(word in name for word in LARGE), small, name

    return min(names, key=rank)


@pytest.mark.slow
def test_every_family_has_a_map_or_is_refused_by_name() -> None:
    import timm  # takes seconds, which those who leave slow tests out need not wait

    wrong = {family: problem for family in timm.list_modules() if (problem := problem_of(family))}
    assert not wrong


def problem_of(family: str) -> str | None:
    """Return what is wrong with how the smallest network of a family is taken; None where nothing is."""
    import timm

    arch = smallest(timm.list_models(module=family))
    size = timm.models.get_pretrained_cfg(arch).input_size[-1]
    try:
        backbone = create_backbone(NetworkParams(arch=arch), size).eval()
    except UserError as error:
        return None if arch in str(error) and "\n" not in str(error) else f"{arch}: {error}"
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, size, size)).feature_map
    side = features.shape[-1]
    wanted = (1, backbone.spec.dim, side, side)
    if family in NONE or features.shape != wanted or backbone.spec.stride != round(size / side) or side < 2:
        return f"{arch}: {tuple(features.shape)}"
    return None
