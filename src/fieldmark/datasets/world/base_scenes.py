"""The categories of the base world's scenes: birds of its builds and things, in colours that no other scene shows.

They are named by colour and shape, such as "violet owl" and "teal car". A CLIP that has learnt these can be asked for
the categories of `scenes.py`, of which it has seen none: their birds wear other plumage, their things other colours.
"""

import random

from fieldmark.datasets.world.builds import BASE_BUILDS, Build
from fieldmark.datasets.world.families import FAMILIES
from fieldmark.datasets.world.palette import distance
from fieldmark.datasets.world.randomness import stream
from fieldmark.datasets.world.scenes import CATEGORIES, HABITATS, Catalogue, Category, colours_worn
from fieldmark.datasets.world.staging import SCENERY

BIRD_COLOURS = (
    "white", "black", "grey", "brown", "rufous", "ochre", "green", "yellow", "orange", "red", "pink", "blue", "violet",
)  # fmt: skip
THING_COLOURS = (
    "red", "yellow", "blue", "green", "orange", "violet", "white", "grey", "pink", "teal", "brown", "black",
)  # fmt: skip
CATEGORIES_AT_MOST = 250  # a mask has one byte per pixel
PALE = ("white", "cream", "buff", "grey", "yellow")
SOFT_PARTS = ("black", "yellow", "orange", "red", "grey")
UNLIKE = 40.0  # how far a bird's colour is from the colour that names the scene bird of its build
# Extents as fractions of the side, and the places where things stand; others are on land.
SIZES = {"tree": 0.5, "house": 0.46, "car": 0.34, "boat": 0.36, "reeds": 0.4, "umbrella": 0.3, "flower": 0.26,
         "fence": 0.22, "bench": 0.26, "rock": 0.24, "fish": 0.2, "leaf": 0.16, "mug": 0.16, "mushroom": 0.17,
         "beetle": 0.14, "butterfly": 0.14}  # fmt: skip
PLACES = {
    "boat": ("water",),
    "reeds": ("water",),
    "fish": ("water",),
    "butterfly": ("air",),
    "leaf": ("land", "air"),
}
BIRD_PLACES = {"swim": "water", "water": "wade", "ground": "land", "perch": "perch", "air": "air"}
WADERS = ("heron", "flamingo", "spoonbill")


def _categories() -> tuple[Category, ...]:
    birds = [_bird(build, colour) for build in BASE_BUILDS for colour in _bird_colours(build)]
    things = [_thing(shape, colour) for shape in (*FAMILIES, *SCENERY) for colour in _thing_colours(shape)]
    return tuple(stream("base scenes").sample([*birds, *things], CATEGORIES_AT_MOST))


def _bird_colours(build: Build) -> list[str]:
    """Return the colours of a build that do not look like the scene birds of the same build."""
    taken = {
        colour for category in CATEGORIES if category.shape == build.name for colour in category.colours[:5]
    }
    return [colour for colour in BIRD_COLOURS if all(distance(colour, other) >= UNLIKE for other in taken)]


def _thing_colours(shape: str) -> list[str]:
    return [colour for colour in THING_COLOURS if colour not in colours_worn(shape)]


def _bird(build: Build, colour: str) -> Category:
    """Return birds that are of one colour on the back, and there or paler below."""
    rng = stream("base scenes", build.name, colour)
    pale = rng.choice(PALE)
    head, breast, belly = (rng.choice((colour, colour, pale)) for _ in range(3))
    colours = (colour, head, breast, belly, colour, rng.choice(SOFT_PARTS), rng.choice(SOFT_PARTS))
    places = tuple(dict.fromkeys(BIRD_PLACES[habit] for habit in build.habits))
    size = 0.46 if build.name in WADERS else 0.34
    return Category(
        f"{colour} {build.name}", _habitats(rng, places), places, size, build.name, colours, flock=2
    )


def _thing(shape: str, colour: str) -> Category:
    rng, places = stream("base scenes", shape, colour), PLACES.get(shape, ("land",))
    return Category(
        f"{colour} {shape}", _habitats(rng, places), places, SIZES[shape], shape, (colour,), flock=2
    )


def _habitats(rng: random.Random, places: tuple[str, ...]) -> tuple[str, ...]:
    """Return the wet habitats for what stands in water only, else three of all."""
    return ("lake", "shore") if set(places) <= {"water", "wade"} else tuple(rng.sample(HABITATS, 3))


# Every category is as frequent as any other, and three or four meet in a scene.
BASE_SCENES = Catalogue(_categories(), power=0.0, stop=45.0)
