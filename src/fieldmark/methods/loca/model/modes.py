"""What LOCA can train: its modes, and how the name of a variant tells its mode."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """What a network learns from, and which heads that takes."""

    name: str
    title: str
    trained: bool = True
    located: bool = False  # whether it has a position classifier
    clustered: bool = False  # whether it has prototypes, and a teacher
    boxed: bool = False  # whether it has a head that predicts the box of a query
    single: bool = False  # whether positions are those within a single picture
    labelled: bool = False  # whether it learns the classes of the same pictures
    given: bool = False  # whether it is a network that was trained elsewhere


_TABLE = (
    Mode("random", "random weights", trained=False, located=True),
    Mode("supervised", "classes of the same pictures, in as many steps", labelled=True),
    Mode("position", "position loss alone", located=True),
    Mode("feature", "feature loss alone", clustered=True),
    Mode("LOCA", "position and feature loss", located=True, clustered=True),
    Mode("zhai", "positions within a single picture", located=True, single=True),
    Mode("box", "the box of each query within the reference", boxed=True),
)
GIVEN = Mode("given", "trained elsewhere", trained=False, given=True)  # what is judged beside the variants
MODES: Mapping[str, Mode] = {mode.name: mode for mode in _TABLE}
_NAME = re.compile(rf"({'|'.join(MODES)})(?:-(0(?:\.\d+)?))?(?:\+(\w+))?(?:@(0\.\d+))?")


@dataclass(frozen=True)
class Named:
    """What the name of a variant says: its mode, and what it has of its own in place of what the block says."""

    mode: Mode
    eta: float | None = None
    network: str | None = None  # an item of the block's `networks`
    fraction: float | None = None  # of the training pictures


def parse_name(name: str) -> Named:
    """Read the name of a variant, such as "LOCA", "LOCA-0.5" (its eta) or "LOCA+small@0.1" (network and pictures).

    Raises ValueError for what is no such name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f"variants must name {', '.join(MODES)}, or one with its eta (LOCA-0.5), its network (LOCA+small) or its "
            "fraction of the training pictures (LOCA@0.1), each once; networks that were trained elsewhere stand in "
            "judge.loca.backbones"
        )
    mode, fraction = MODES[match[1]], float(match[4]) if match[4] else None
    if fraction is not None and (mode.labelled or not mode.trained):
        raise ValueError(
            f"variants: {name} has a fraction of the pictures, which {mode.name} does not learn from"
        )
    return Named(mode, float(match[2]) if match[2] else None, match[3], fraction)
