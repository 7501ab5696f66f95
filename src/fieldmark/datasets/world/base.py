"""The classes of the base world: half of them birds of other genera, half of them other things."""

from fieldmark.datasets.world.families import FAMILIES
from fieldmark.datasets.world.names import BASE_GENERA, SPECIES_GENERA
from fieldmark.datasets.world.objects import Thing, make_things
from fieldmark.datasets.world.species import MAX_SPECIES_PER_GENUS, Species, make_species

Kind = Species | Thing


def make_kinds(part: str, seed: int, classes: int, genera: int) -> list[Kind]:
    """Return the classes of a part of the world, `species` or `base`, in order.

    In the base world even classes are birds and odd ones are things, each with half of the groups.
    """
    if part == "species":
        return list(make_species(part, seed, classes, genera))
    things = make_things(seed, classes // 2, genera // 2)
    birds = make_species(part, seed, classes - classes // 2, genera - genera // 2)
    return [birds[i // 2] if i % 2 == 0 else things[i // 2] for i in range(classes)]


def largest(part: str, genera: int) -> tuple[int, int]:
    """Return how many genera a part of the world can have, and how many classes fit into `genera` of them."""
    if part == "species":
        return len(SPECIES_GENERA), MAX_SPECIES_PER_GENUS * genera
    birds, families = len(BASE_GENERA), len(FAMILIES)
    return 2 * min(birds, families), 2 * MAX_SPECIES_PER_GENUS * (genera // 2)
