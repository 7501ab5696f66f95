"""The variants of LOCA: each has a mode, and some an eta, a network or a part of the pictures of their own."""

from collections.abc import Iterator
from dataclasses import dataclass

from fieldmark.contract.method import Variant
from fieldmark.methods.loca.model.modes import GIVEN, Mode, Named, parse_name
from fieldmark.methods.loca.model.params import LocaParams


@dataclass(frozen=True)
class Parts:
    """What a variant learns from, and how."""

    mode: Mode
    eta: float  # fraction of the reference's patches that is hidden: of the variant's name, or else the block's
    network: str | None = None  # the item of `networks` that it has in place of the block's network
    fraction: float = 1.0  # of the training pictures that it learns from

    @property
    def scaled(self) -> bool:
        """Whether network or pictures are others than the block's."""
        return self.network is not None or self.fraction < 1.0


LocaVariant = Variant[LocaParams, Parts]


def make_variant(name: str, params: LocaParams) -> LocaVariant:
    """Return the variant that a block calls `name`. What is not trained makes no step."""
    named = parse_name(name)
    mode = named.mode
    train = params.train if mode.trained else params.train.model_copy(update={"steps": 0})
    changes = dict(params.networks[named.network]) if named.network else {}
    parts = Parts(mode, params.eta if named.eta is None else named.eta, named.network, named.fraction or 1.0)
    changed = params.model_copy(update={"train": train, **changes})
    return LocaVariant(name, ", ".join(_title(named, params)), changed, parts)


def _title(named: Named, params: LocaParams) -> Iterator[str]:
    yield named.mode.title
    if named.eta is not None:
        yield f"eta {named.eta:g} in place of {params.eta:g}"
    if named.network is not None:
        yield f"network {named.network}"
    if named.fraction is not None:
        yield f"{named.fraction:.3g} of the pictures"


def given_variant(name: str, title: str, params: LocaParams) -> LocaVariant:
    """Return a variant for a network that was trained elsewhere; no seed changes it."""
    untrained = params.model_copy(update={"train": params.train.model_copy(update={"steps": 0})})
    return LocaVariant(name, title, untrained, Parts(GIVEN, params.eta), fixed=True)
