"""What scenes hold: in which habitats each category occurs, and which of them meet in one picture.

Popularity falls with the rank of a category by a power law (Pareto), and what a habitat holds decides which
categories come together: ducks with reeds, benches with pigeons. The base world knows none of these birds.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fieldmark.datasets.world.builds import BASE_BUILDS, SPECIES_BUILDS, Build

BUILDS = {build.name: build for build in (*BASE_BUILDS, *SPECIES_BUILDS)}
MAX_CATEGORIES = 5  # in one scene


@dataclass(frozen=True)
class Category:
    """One category: its habitats, the kinds of places where it stands in them, its size, and its look.

    `places` are among water, wade, land, perch and air. `size` is that of a near individual as a fraction of the
    side. `shape` is the build of a bird or the family of a thing. `colours` are those that all individuals of a bird
    wear, or those from which each thing chooses one. `company` is the category beside which it occurs more often,
    and `flock` the largest number of individuals in a scene.
    """

    name: str
    habitats: tuple[str, ...]
    places: tuple[str, ...]
    size: float
    shape: str
    colours: tuple[str, ...]
    company: str = ""
    flock: int = 1

    @property
    def is_bird(self) -> bool:
        """Say whether it is drawn as a bird."""
        return self.shape in BUILDS

    def build(self, place: str) -> Build:
        """Return the build of a bird that poses for a place."""
        settings = {"water": "swim", "wade": "water", "land": "ground", "perch": "perch", "air": "air"}
        return replace(BUILDS[self.shape], habits=(settings[place],))

    def attributes(self) -> dict[str, str]:
        """Return what the drawing of a bird needs; `colours` are back, head, breast, belly, wing, bill and legs."""
        back, head, breast, belly, wing, bill, legs = self.colours
        build = BUILDS[self.shape]
        plain = {"wing_bars", "wing_patch", "eye_ring", "tail_tip"}
        return {
            **dict.fromkeys(plain, "none"),
            "shape": build.name,
            "crest": build.crest,
            "face": "plain",
            "breast_pattern": "plain",
            "eye_colour": "black",
            "bill_colour": bill,
            "leg_colour": legs,
            "head_colour": head,
            "crown_colour": head,
            "throat_colour": breast if self.shape == "swallow" else head,
            "back_colour": back,
            "rump_colour": back,
            "breast_colour": breast,
            "belly_colour": belly,
            "wing_colour": wing,
            "tail_colour": wing,
        }


@dataclass(frozen=True)
class Catalogue:
    """The categories of a part of the world, in the order of popularity, and how scenes choose from them.

    The category of rank r (from 1) has the weight r ** -power; "the scene is complete" has the weight `stop`, relative
    to that of the most popular category.
    """

    categories: tuple[Category, ...]
    power: float
    stop: float

    def first(self, count: int) -> "Catalogue":
        """Return the catalogue of the `count` most popular categories."""
        return replace(self, categories=self.categories[:count])


HABITATS = ("lake", "village", "meadow", "forest", "shore")

# In the order of popularity.
# fmt: off
CATEGORIES = (
    Category("tree", ("forest", "meadow", "village"), ("land",), 0.5, "tree", ("green", "olive")),
    Category("green duck", ("lake", "shore"), ("water",), 0.34, "duck",
             ("grey", "green", "chestnut", "grey", "brown", "yellow", "orange"), "reeds", 3),
    Category("flower", ("meadow", "forest", "village"), ("land",), 0.26, "flower",
             ("red", "yellow", "violet", "pink", "white"), flock=3),
    Category("house", ("village", "meadow", "shore"), ("land",), 0.46, "house",
             ("cream", "white", "buff", "sky", "rufous")),
    Category("rock", ("shore", "lake", "forest"), ("land",), 0.24, "rock", ("grey", "brown", "slate"), flock=2),
    Category("black crow", ("meadow", "village", "forest"), ("land", "air", "perch"), 0.32, "crow",
             ("black", "black", "black", "black", "black", "black", "black"), "fence", 2),
    Category("reeds", ("lake",), ("water",), 0.4, "reeds", ("green", "ochre"), "green duck", 2),
    Category("white gull", ("shore", "lake"), ("air", "land", "water"), 0.34, "gull",
             ("grey", "white", "white", "white", "grey", "yellow", "pink"), "boat", 3),
    Category("fence", ("meadow", "village"), ("land",), 0.22, "fence", ("brown", "white", "grey")),
    Category("blue swallow", ("lake", "meadow", "village"), ("air",), 0.24, "swallow",
             ("blue", "blue", "rufous", "white", "blue", "black", "black"), "house", 3),
    Category("boat", ("lake", "shore"), ("water",), 0.36, "boat", ("red", "blue", "white", "brown"), "white gull"),
    Category("grey pigeon", ("village",), ("land", "perch", "air"), 0.28, "pigeon",
             ("grey", "slate", "violet", "grey", "grey", "black", "red"), "bench", 3),
    Category("mushroom", ("forest", "meadow"), ("land",), 0.17, "mushroom", ("red", "brown", "orange"), flock=3),
    Category("grey heron", ("lake", "shore"), ("wade",), 0.46, "heron",
             ("slate", "white", "grey", "white", "slate", "yellow", "yellow"), "reeds"),
    Category("car", ("village",), ("land",), 0.34, "car", ("red", "blue", "white", "yellow", "green"), "house"),
    Category("bench", ("village", "lake"), ("land",), 0.26, "bench", ("brown", "green", "grey")),
    Category("red cardinal", ("forest", "meadow", "village"), ("perch", "land"), 0.34, "cardinal",
             ("red", "red", "red", "red", "red", "orange", "brown")),
    Category("brown curlew", ("shore", "meadow"), ("wade", "land"), 0.4, "curlew",
             ("brown", "buff", "buff", "cream", "brown", "black", "grey"), "rock", 2),
    Category("butterfly", ("meadow", "forest"), ("air",), 0.12, "butterfly",
             ("orange", "yellow", "violet", "blue"), "flower", 2),
    Category("brown owl", ("forest",), ("perch",), 0.36, "owl",
             ("brown", "brown", "buff", "buff", "brown", "yellow", "ochre")),
    Category("umbrella", ("shore", "village"), ("land",), 0.3, "umbrella", ("red", "yellow", "blue", "pink"), "bench"),
    Category("blue kingfisher", ("lake",), ("perch",), 0.32, "kingfisher",
             ("blue", "blue", "orange", "orange", "teal", "black", "red"), "reeds"),
    Category("pink flamingo", ("lake", "shore"), ("wade",), 0.48, "flamingo",
             ("pink", "pink", "pink", "pink", "pink", "pink", "pink"), flock=2),
    Category("green parrot", ("forest", "village"), ("perch",), 0.36, "parrot",
             ("green", "green", "green", "yellow", "green", "red", "grey")),
)
# fmt: on
SCENES = Catalogue(CATEGORIES, power=1.3, stop=0.4)


def colours_worn(shape: str) -> set[str]:
    """Return the colours that the categories of a shape wear in scenes; the base world holds no thing in these."""
    return {colour for category in CATEGORIES if category.shape == shape for colour in category.colours}


@dataclass(frozen=True)
class Placed:
    """One individual in a scene: its category, by index, and what kind of place it takes."""

    category: int
    place: str


@dataclass(frozen=True)
class Scene:
    """What one picture is to hold."""

    habitat: str
    items: tuple[Placed, ...]


def make_scene(rng: random.Random, habitat: str, catalogue: Catalogue) -> Scene:
    """Draw at random what one scene of a habitat holds."""
    known, power = catalogue.categories, catalogue.power
    weights = {i: (i + 1.0) ** -power for i, category in enumerate(known) if habitat in category.habitats}
    chosen: list[int] = []
    while len(chosen) < min(MAX_CATEGORIES, len(weights)):
        left = {i: w * _pull(known, i, chosen) for i, w in weights.items() if i not in chosen}
        stop = catalogue.stop * max(weights.values()) if len(chosen) > 1 else 0.0
        pick = rng.choices([*left, -1], [*left.values(), stop])[0]
        if pick < 0:
            break
        chosen.append(pick)
    items = [
        Placed(i, rng.choice(_fitting(known[i], habitat)))
        for i in chosen
        for _ in range(rng.randint(1, known[i].flock))
    ]
    return Scene(habitat, tuple(items))


def _pull(known: tuple[Category, ...], index: int, chosen: list[int]) -> float:
    """Return how many times more likely a category is because of what the scene holds already."""
    return 4.0 if known[index].company in {known[i].name for i in chosen} else 1.0


def _fitting(category: Category, habitat: str) -> list[str]:
    """Return the places of a category that a habitat has."""
    wet = habitat in ("lake", "shore")
    return [place for place in category.places if wet or place not in ("water", "wade")]


def category_names(categories: Sequence[Category]) -> Mapping[int, str]:
    """Return the names of categories by their values in the masks: 1, 2, ..."""
    return {i + 1: category.name for i, category in enumerate(categories)}
