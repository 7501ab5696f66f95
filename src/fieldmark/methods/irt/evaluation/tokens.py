"""Distilled backbones have two tokens: what both together find."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from fieldmark.methods.irt.model.method import Irt

BOTH = "+dist"
T = TypeVar("T")


def by_both_tokens(
    models: Mapping[str, Sequence[Irt]], score: Callable[[str, Sequence[Irt]], T]
) -> dict[str, T]:
    """Score models on distilled backbones a second time, by the mean of both tokens; names end with `BOTH`.

    The paper does not say which token it reads, so both are reported; training uses the class token.
    """
    scored = {}
    for name, by_seed in models.items():
        descriptors = [model.descriptor for model in by_seed]
        distilled = descriptors[0].backbone.spec.has_distilled and descriptors[0].pooling == "cls"
        if distilled and not descriptors[0].projection:
            for descriptor in descriptors:
                descriptor.pooling = "cls_distilled"
            scored[name + BOTH] = score(name + BOTH, by_seed)
            for descriptor in descriptors:
                descriptor.pooling = "cls"
    return scored
