"""The shapes of birds: proportions in body lengths, bill and tail forms, and where such birds are seen.

The species and the base world draw from two separate tables, so that no genus of one has the shape of a genus
of the other.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Build:
    """Proportions of a genus. Lengths are in body lengths, angles in degrees above the horizontal."""

    name: str
    bill: str  # a key of bills.BILLS
    bill_length: float  # in head radii
    tail_shape: str  # notched, square, forked, rounded, pointed or streamers
    tail: float
    crest: str = "none"  # none, short, pointed, shaggy or fan
    plump: float = 1.0
    neck: float = 0.17
    head: float = 0.215
    leg: float = 0.3
    angle: float = 28.0
    tail_angle: float = 0.0  # how far the tail is cocked
    wing: float = 1.0
    habits: tuple[str, ...] = ("perch", "perch", "perch", "ground", "air")


SPECIES_BUILDS = (
    Build("warbler", "fine", 0.75, "notched", 0.5, plump=0.95, head=0.22),
    Build("finch", "conical", 0.75, "notched", 0.45, plump=1.1, head=0.235),
    Build(
        "kingfisher",
        "dagger",
        2.0,
        "square",
        0.26,
        crest="shaggy",
        head=0.27,
        leg=0.14,
        angle=48,
        wing=0.9,
        habits=("perch", "perch", "perch", "perch", "air"),
    ),
    Build(
        "curlew",
        "decurved",
        2.6,
        "square",
        0.28,
        plump=0.95,
        neck=0.34,
        head=0.175,
        leg=0.72,
        angle=16,
        habits=("ground", "water", "water", "air"),
    ),
    Build(
        "thrush",
        "straight",
        0.95,
        "square",
        0.5,
        leg=0.4,
        angle=38,
        head=0.2,
        habits=("ground", "perch", "air"),
    ),
    Build(
        "swallow",
        "tiny",
        0.45,
        "forked",
        0.85,
        plump=0.82,
        leg=0.12,
        wing=1.35,
        angle=35,
        habits=("perch", "air", "air"),
    ),
    Build("wren", "fine", 1.0, "rounded", 0.4, plump=1.22, head=0.235, tail_angle=62, angle=14, wing=0.78),
    Build("shrike", "hooked", 0.85, "rounded", 0.75, plump=0.95, head=0.24, angle=42),
    Build("hoopoe", "decurved", 2.0, "square", 0.5, crest="fan", plump=0.9, leg=0.22, angle=24),
    Build(
        "heron",
        "dagger",
        2.5,
        "square",
        0.22,
        crest="pointed",
        plump=0.85,
        neck=0.78,
        head=0.16,
        leg=0.8,
        angle=30,
        habits=("water", "water", "ground", "air"),
    ),
    Build("flycatcher", "straight", 0.7, "streamers", 1.15, crest="short", plump=0.92, head=0.23, angle=46),
    Build(
        "avocet",
        "upturned",
        2.3,
        "square",
        0.26,
        plump=0.9,
        neck=0.42,
        head=0.175,
        leg=0.85,
        angle=12,
        habits=("water", "water", "ground", "air"),
    ),
    Build("bee-eater", "decurved", 1.25, "pointed", 0.75, plump=0.86, leg=0.12, angle=48, wing=1.15),
    Build("oriole", "straight", 1.15, "rounded", 0.62, plump=1.0, head=0.21, angle=32),
    Build(
        "lark",
        "conical",
        0.6,
        "square",
        0.4,
        crest="short",
        plump=1.0,
        leg=0.34,
        angle=18,
        habits=("ground",),
    ),
    Build("cardinal", "conical", 0.85, "rounded", 0.66, crest="pointed", plump=1.08, head=0.23, angle=40),
)

BASE_BUILDS = (
    Build(
        "duck",
        "flat",
        1.4,
        "pointed",
        0.24,
        plump=1.05,
        neck=0.3,
        head=0.21,
        leg=0.16,
        angle=6,
        wing=0.85,
        habits=("swim", "swim", "ground", "air"),
    ),
    Build(
        "owl",
        "hooked",
        0.5,
        "square",
        0.3,
        crest="ears",
        plump=1.2,
        neck=0.12,
        head=0.34,
        leg=0.14,
        angle=72,
        habits=("perch",),
    ),
    Build(
        "parrot",
        "massive",
        0.95,
        "pointed",
        0.95,
        plump=0.95,
        head=0.27,
        leg=0.14,
        angle=56,
        habits=("perch",),
    ),
    Build(
        "toucan", "toucan", 2.2, "square", 0.5, plump=0.95, head=0.25, leg=0.2, angle=44, habits=("perch",)
    ),
    Build("pigeon", "tiny", 0.7, "rounded", 0.5, plump=1.18, neck=0.24, head=0.16, leg=0.24, angle=24),
    Build(
        "gull",
        "hooked",
        1.3,
        "square",
        0.34,
        plump=0.9,
        head=0.19,
        leg=0.34,
        angle=10,
        wing=1.4,
        habits=("air", "air", "ground", "swim"),
    ),
    Build(
        "hawk", "hooked", 0.75, "rounded", 0.62, plump=1.0, neck=0.14, head=0.22, leg=0.26, angle=62, wing=1.2
    ),
    Build(
        "hummingbird",
        "needle",
        2.6,
        "forked",
        0.4,
        plump=0.75,
        head=0.25,
        leg=0.06,
        angle=40,
        wing=1.1,
        habits=("air", "air", "perch"),
    ),
    Build(
        "flamingo",
        "bent",
        1.5,
        "pointed",
        0.2,
        plump=0.95,
        neck=1.05,
        head=0.15,
        leg=1.25,
        angle=14,
        habits=("water",),
    ),
    Build(
        "pheasant",
        "tiny",
        0.6,
        "streamers",
        1.5,
        crest="short",
        plump=1.05,
        neck=0.3,
        head=0.18,
        leg=0.4,
        angle=14,
        habits=("ground",),
    ),
    Build("crow", "stout", 1.35, "rounded", 0.5, plump=1.0, head=0.22, leg=0.42, angle=26),
    Build(
        "spoonbill",
        "spoon",
        2.4,
        "square",
        0.2,
        crest="shaggy",
        plump=0.95,
        neck=0.6,
        head=0.17,
        leg=0.75,
        angle=18,
        habits=("water", "water", "ground"),
    ),
)
