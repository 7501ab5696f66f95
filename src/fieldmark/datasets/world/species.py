"""Birds as attribute vectors: genera, and species that differ from their siblings in a few field marks."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass

from fieldmark.datasets.world.builds import BASE_BUILDS, SPECIES_BUILDS, Build
from fieldmark.datasets.world.names import BASE_GENERA, SPARE_ADJECTIVES, SPECIES_GENERA, adjective
from fieldmark.datasets.world.palette import contrasting
from fieldmark.datasets.world.randomness import stream

MARKS_PER_GENUS = 3
MAX_SPECIES_PER_GENUS = 18  # three marks of three, three and two values

HEARD = ("song", "habitat")  # attributes that no picture shows

BACKS = (
    "brown",
    "olive",
    "grey",
    "slate",
    "blue",
    "green",
    "rufous",
    "black",
    "teal",
    "ochre",
    "chestnut",
    "violet",
)
BREASTS = ("white", "cream", "buff", "yellow", "orange", "rufous", "grey", "pink", "red", "sky", "olive")
BELLIES = ("white", "cream", "buff", "yellow", "grey", "rufous", "sky", "pink", "orange")
CROWNS = ("black", "white", "rufous", "yellow", "red", "blue", "grey", "green", "orange", "violet", "brown")
SOFT_PARTS = ("black", "yellow", "orange", "red", "grey", "pink")

# The marks by which siblings may differ: large ones show at any size, small ones in a good view.
LARGE = ("crown_colour", "breast_colour", "belly_colour", "breast_pattern", "face", "throat_colour")
MIDDLE = ("wing_bars", "tail_tip", "wing_patch", "rump_colour")
SMALL = ("eye_ring", "bill_colour", "leg_colour")

SONGS = (
    "a thin rising whistle", "a dry rattle", "three clear notes", "a soft cooing", "a long liquid trill",
    "a harsh double croak", "a mellow flute", "a squeaky chatter", "a slow falling scale", "a sharp metallic tink",
    "a buzzing churr", "a bubbling warble", "a hollow booming", "a quick stutter", "a plaintive two note call",
)  # fmt: skip
HABITATS = (
    "reed beds", "pine woods", "river banks", "stony hillsides", "orchards", "salt marshes", "old gardens",
    "thorn scrub", "wet meadows", "mountain streams", "oak forest", "coastal dunes", "farm hedges",
)  # fmt: skip


@dataclass(frozen=True)
class Species:
    """One class of birds: its shape and everything that can be said of it."""

    name: str
    group: str
    build: Build
    attributes: Mapping[str, str]

    def visible(self) -> dict[str, str]:
        """Return the attributes that a picture can show."""
        return {key: value for key, value in self.attributes.items() if key not in HEARD}


def make_species(part: str, seed: int, classes: int, genera: int) -> list[Species]:
    """Return `classes` species; species i belongs to genus i modulo `genera`.

    Asking for more classes adds species and does not change the others.
    """
    names = SPECIES_GENERA if part == "species" else BASE_GENERA
    siblings = [
        _genus(stream(seed, part, "genus", g), seed, part, g, names[g], -(-classes // genera))
        for g in range(genera)
    ]
    return [siblings[i % genera][i // genera] for i in range(classes)]


def _genus(rng: random.Random, seed: int, part: str, index: int, name: str, count: int) -> list[Species]:
    builds = SPECIES_BUILDS if part == "species" else BASE_BUILDS
    build = builds[index % len(builds)]
    backs = stream(seed, part, "backs").sample(BACKS, len(BACKS))
    # With more genera than builds, builds repeat: the step of 5 gives genera of the same build different colours.
    common = _common_attributes(rng, build, backs[(index + index // len(builds) * 5) % len(backs)])
    options = _varying_marks(rng, common, build)
    songs, habitats = rng.sample(SONGS, len(SONGS)), rng.sample(HABITATS, len(HABITATS))
    used: set[str] = set()
    species = []
    for i, marks in enumerate(_combinations(rng, options)[:count]):
        epithet = _epithet(marks, used, rng)
        heard = {"song": songs[i % len(songs)], "habitat": habitats[i % len(habitats)]}
        species.append(Species(f"{epithet} {name}", name, build, {**common, **marks, **heard}))
    return species


def _combinations(rng: random.Random, options: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """Return every combination of the values of the varying marks, in a seeded order."""
    values = list(itertools.product(*options.values()))
    return [dict(zip(options, chosen, strict=True)) for chosen in rng.sample(values, len(values))]


def _epithet(marks: Mapping[str, str], used: set[str], rng: random.Random) -> str:
    told = [adjective(mark, value) for mark, value in marks.items()]
    told.sort(key=lambda word: word.startswith(("Plain", "Clear", "Dusky")))
    chosen = next(
        word for word in [*told, *rng.sample(SPARE_ADJECTIVES, len(SPARE_ADJECTIVES))] if word not in used
    )
    used.add(chosen)
    return chosen


def _common_attributes(rng: random.Random, build: Build, back: str) -> dict[str, str]:
    """Draw the attributes that the species of a genus share."""
    breast = contrasting(rng, BREASTS, 1, (back,))[0]
    belly = contrasting(rng, BELLIES, 1, (back,), apart=45)[0]
    head = rng.choice((back, back, "grey", "white", "buff", "brown"))
    wing = rng.choice(("black", "brown", "slate", back))
    crown = contrasting(rng, CROWNS, 1, (head,))[0]
    return {
        "shape": build.name,
        "bill_shape": build.bill,
        "bill_length": _length_word(build.bill_length),
        "bill_colour": contrasting(rng, SOFT_PARTS, 1, (head,), apart=40)[0],
        "crest": build.crest,
        "crown_colour": crown,
        "head_colour": head,
        "throat_colour": rng.choice((breast, breast, "white", "black")),
        "back_colour": back,
        "breast_colour": breast,
        "breast_pattern": "plain",
        "belly_colour": belly,
        "wing_colour": wing,
        "wing_bars": "none",
        "wing_patch": "none",
        "eye_ring": "none",
        "eye_colour": rng.choice(("brown", "brown", "black", "red", "yellow")),
        "face": "plain",
        "rump_colour": back,
        "tail_shape": build.tail_shape,
        "tail_colour": rng.choice((wing, wing, "black", "brown")),
        "tail_tip": "none",
        "leg_colour": rng.choice(SOFT_PARTS),
    }


def _length_word(length: float) -> str:
    """Return the word for a bill of a length in head radii."""
    if length < 0.9:
        return "short"
    return "long" if length > 1.6 else "medium"


def _varying_marks(rng: random.Random, common: Mapping[str, str], build: Build) -> dict[str, list[str]]:
    """Choose the marks by which the species of a genus differ, and the values that each takes."""
    # A mark counts only where it shows: not on stumps of legs, nor on a tail that the wings cover.
    small = [mark for mark in SMALL if mark != "leg_colour" or build.leg > 0.25]
    middle = [mark for mark in MIDDLE if mark != "tail_tip" or build.tail > 0.35]
    marks = [*rng.sample(LARGE, 2), rng.choice([*middle, *small, *LARGE])]
    while len(set(marks)) < MARKS_PER_GENUS:
        marks[2] = rng.choice(middle)
    return {mark: _values(rng, mark, common, 3 if i < 2 else 2) for i, mark in enumerate(marks)}


def _values(rng: random.Random, mark: str, common: Mapping[str, str], count: int) -> list[str]:
    head, back, breast = common["head_colour"], common["back_colour"], common["breast_colour"]
    wing, tail = common["wing_colour"], common["tail_colour"]
    choices: dict[str, list[str]] = {
        "wing_bars": ["none", "two", "one"],
        "breast_pattern": ["plain", *rng.sample(["streaked", "spotted", "banded"], 2)],
        "face": rng.sample(["plain", "mask", "eyebrow", "moustache", "cheek patch", "eye line"], count),
        "eye_ring": ["none", *contrasting(rng, ("white", "yellow", "red"), 2, (head,))],
        "tail_tip": ["none", *contrasting(rng, ("white", "yellow", "rufous", "red"), 2, (tail,))],
        "wing_patch": [
            "none",
            *contrasting(rng, ("white", "yellow", "red", "orange", "sky"), 2, (wing, back)),
        ],
    }
    colours: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "crown_colour": (CROWNS, (head,)),
        "throat_colour": (("black", "white", "red", "yellow", "orange", "blue", "rufous"), (breast,)),
        "breast_colour": (BREASTS, (back,)),
        "belly_colour": (BELLIES, (back,)),
        "rump_colour": (("white", "yellow", "rufous", "red", "orange"), (back, wing)),
        "bill_colour": (SOFT_PARTS, (head,)),
        "leg_colour": (SOFT_PARTS, ()),
    }
    if mark in colours:
        options, against = colours[mark]
        return contrasting(rng, options, count, against, apart=70)
    return choices[mark][:count]
