"""Things, plants and other animals of the base world: families whose members differ in a few marks."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass

from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.families import FAMILIES
from fieldmark.datasets.world.palette import contrasting, individual
from fieldmark.datasets.world.randomness import stream
from fieldmark.datasets.world.scenes import colours_worn

COLOURS = (
    "red",
    "yellow",
    "blue",
    "green",
    "orange",
    "violet",
    "white",
    "grey",
    "pink",
    "teal",
    "brown",
    "sky",
)
PATTERNS = ("plain", "striped", "spotted")


@dataclass(frozen=True)
class Thing:
    """One class of objects: a family, and the marks by which it differs within the family."""

    name: str
    group: str
    attributes: Mapping[str, str]


def make_things(seed: int, classes: int, families: int) -> list[Thing]:
    """Return `classes` kinds of things; thing i belongs to family i modulo `families`."""
    kinds = [_family(stream(seed, "things", f), f, -(-classes // families)) for f in range(families)]
    return [kinds[i % families][i // families] for i in range(classes)]


def _family(rng: random.Random, index: int, count: int) -> list[Thing]:
    family = list(FAMILIES)[index]
    forms = FAMILIES[family][0]
    unseen = tuple(colour for colour in COLOURS if colour not in colours_worn(family))
    colours = contrasting(rng, unseen, 3, apart=60)
    accent = contrasting(rng, COLOURS, 1, tuple(colours), apart=60)[0]
    choices = list(itertools.product(colours, PATTERNS, forms))
    rng.shuffle(choices)
    things = []
    for colour, pattern, form in choices[:count]:
        marks = {
            "shape": family,
            "colour": colour,
            "accent_colour": accent,
            "pattern": pattern,
            "form": form,
        }
        name = f"{colour} {pattern} {form} {family}".replace(" plain", "").capitalize()
        things.append(Thing(name, family.capitalize(), marks))
    return things


def draw_thing(canvas: Canvas, rng: random.Random, attributes: Mapping[str, str]) -> None:
    """Draw one thing around the origin of the canvas."""
    forms, artist = FAMILIES[attributes["shape"]]
    main, accent = individual(rng, attributes["colour"], 14), individual(rng, attributes["accent_colour"], 14)
    artist(canvas, main, accent, attributes["pattern"], forms.index(attributes["form"]))
