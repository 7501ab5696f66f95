"""Bills: two mandibles between a culmen, a gape line and a lower edge.

Local frame: the bill starts at (0, 0) and runs along x, y upwards; units are head radii and `length` is the
reach of the tip.
"""

from functools import cache

from fieldmark.datasets.world.geometry import Patch, points

# depth at the base, downward bend of the tip, how far up the fullness of the outline is carried, tip form
BILLS: dict[str, tuple[float, float, float, str]] = {
    "fine": (0.26, 0.02, 0.5, "point"),
    "tiny": (0.34, 0.06, 0.4, "point"),
    "conical": (0.74, 0.04, 0.62, "point"),
    "straight": (0.36, 0.04, 0.62, "point"),
    "dagger": (0.5, 0.0, 0.66, "point"),
    "hooked": (0.5, 0.12, 0.95, "hook"),
    "decurved": (0.3, 0.62, 0.62, "point"),
    "upturned": (0.28, -0.6, 0.55, "point"),
    "flat": (0.5, 0.12, 0.62, "broad"),
    "spoon": (0.34, 0.1, 0.5, "spoon"),
    "massive": (1.05, 0.42, 1.0, "hook"),
    "toucan": (0.86, 0.36, 1.15, "hook"),
    "needle": (0.16, 0.06, 0.6, "point"),
    "bent": (0.6, 0.85, 1.05, "hook"),
    "stout": (0.56, 0.14, 0.95, "point"),
}


def mandibles(shape: str, length: float) -> tuple[Patch, Patch]:
    """Return the upper and the lower mandible of a bill."""
    upper, lower = _unit_mandibles(shape)
    return upper.scaled(length, 1.0), lower.scaled(length, 1.0)


@cache
def _unit_mandibles(shape: str) -> tuple[Patch, Patch]:
    depth, bend, full, tip = BILLS[shape]
    half = depth / 2
    gape = [(0.0, 0.0), (0.5, -0.3 * bend), (1.0, -bend)]
    top = [(0.0, half), (0.5, half * full - 0.3 * bend), (1.0, -bend)]
    bottom = [(0.0, -half), (0.5, -half * full - 0.3 * bend), (1.0, -bend)]
    if tip == "hook":
        top = [
            (0.0, half),
            (0.55, half * full - 0.15 * bend),
            (0.95, -0.1 * half - bend),
            (1.0, -0.95 * half - bend),
        ]
        gape = [
            (0.0, -0.1 * half),
            (0.5, -0.2 * half - 0.3 * bend),
            (0.85, -0.4 * half - bend),
            (1.0, -0.9 * half - bend),
        ]
        bottom = [(0.0, -half), (0.45, -half * 0.9 - 0.35 * bend), (0.82, -0.62 * half - bend)]
    elif tip in ("broad", "spoon"):
        swell = 0.42 if tip == "spoon" else 0.2
        waist = 0.11 if tip == "spoon" else 0.14
        top = [
            (0.0, half),
            (0.4, waist - 0.2 * bend),
            (0.82, swell - bend),
            (1.0, 0.6 * swell - bend),
            (1.05, -bend),
        ]
        bottom = [
            (0.0, -half),
            (0.4, -waist - 0.2 * bend),
            (0.82, -swell - bend),
            (1.0, -0.6 * swell - bend),
            (1.05, -bend),
        ]
        gape = [(0.0, 0.0), (0.4, -0.2 * bend), (1.05, -bend)]
    return Patch.between(points(*gape), points(*top)), Patch.between(points(*bottom), points(*gape))
