"""FRPT and the fine-tuning that it is compared with: alike in everything else, also as arms from another backbone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.variants import TABLE, FrptVariant


class Pair(NamedTuple):
    """The names of two models: FRPT, and fine-tuning of the same backbone by the same recipe."""

    ours: str
    theirs: str
    arch: str  # of the backbone
    shots: int | None  # training pictures per class; None: all


def pairs(models: Mapping[str, Sequence[Frpt]]) -> Iterator[Pair]:
    """Yield each pair among variants and arms, in their order."""
    for ours, (first, *_) in models.items():
        for theirs, (second, *_) in models.items():
            if _is_pair(first.variant, second.variant):
                yield Pair(ours, theirs, first.backbone.spec.arch, first.variant.parts.shots)


def _is_pair(ours: FrptVariant, theirs: FrptVariant) -> bool:
    kinds = [replace(variant.parts, shots=None) for variant in (ours, theirs)]
    return kinds == [TABLE["FRPT"].parts, TABLE["finetune"].parts] and _setting(ours) == _setting(theirs)


def _setting(variant: FrptVariant) -> tuple[str, int | None, FrptParams]:
    """Return all that two models must share; which others a block asks for beside them is nothing of theirs."""
    params = variant.params.model_copy(update={"variants": ()})
    return variant.start, variant.parts.shots, params
