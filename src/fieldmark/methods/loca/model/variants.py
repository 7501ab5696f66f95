"""The variants of LOCA: each has a mode, and some set eta."""

from dataclasses import dataclass

from fieldmark.contract.method import Variant
from fieldmark.methods.loca.model.modes import GIVEN, Mode, parse_name
from fieldmark.methods.loca.model.params import LocaParams


@dataclass(frozen=True)
class Parts:
    """What a variant learns from, and the fraction of the reference's patches that is hidden from it."""

    mode: Mode
    eta: float  # of the variant's name, or else the block's


LocaVariant = Variant[LocaParams, Parts]


def make_variant(name: str, params: LocaParams) -> LocaVariant:
    """Return the variant that a block calls `name`. What is not trained makes no step."""
    mode, eta = parse_name(name)
    title = mode.title if eta is None else f"{mode.title}, eta {eta:g} in place of {params.eta:g}"
    train = params.train if mode.trained else params.train.model_copy(update={"steps": 0})
    changed = params.model_copy(update={"train": train})
    parts = Parts(mode, params.eta if eta is None else eta)
    return LocaVariant(name, title, changed, parts)


def given_variant(name: str, title: str, params: LocaParams) -> LocaVariant:
    """Return a variant for a network that was trained elsewhere; no seed changes it."""
    untrained = params.model_copy(update={"train": params.train.model_copy(update={"steps": 0})})
    return LocaVariant(name, title, untrained, Parts(GIVEN, params.eta), fixed=True)
