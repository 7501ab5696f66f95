"""Species: distinct, alike within a genus, and disjoint from the base world."""

import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from fieldmark.datasets.world.anatomy import pose
from fieldmark.datasets.world.base import make_kinds
from fieldmark.datasets.world.builds import BASE_BUILDS, SPECIES_BUILDS
from fieldmark.datasets.world.canvas import Canvas
from fieldmark.datasets.world.objects import Thing
from fieldmark.datasets.world.palette import COLOURS, contrasting, distance
from fieldmark.datasets.world.plumage import draw_bird
from fieldmark.datasets.world.randomness import stream
from fieldmark.datasets.world.scenes import CATEGORIES
from fieldmark.datasets.world.species import MAX_SPECIES_PER_GENUS, Species, make_species

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("classes", "genera"), [(60, 12), (400, 24), (MAX_SPECIES_PER_GENUS, 1)])
def test_no_two_species_look_the_same(seed, classes, genera):
    species = make_species("species", seed, classes, genera)
    looks = {tuple(sorted(s.visible().items())) for s in species}
    assert len(looks) == len({s.name for s in species}) == classes


@pytest.mark.parametrize("seed", SEEDS)
def test_siblings_differ_in_one_to_three_marks_and_other_genera_in_more(seed):
    for first, second in itertools.combinations(make_species("species", seed, 60, 12), 2):
        differing = [key for key, value in first.visible().items() if second.visible()[key] != value]
        if first.group == second.group:
            assert 1 <= len(differing) <= 3
            assert first.build is second.build
        else:
            assert "shape" in differing
            assert len(differing) > 3


def test_siblings_are_told_apart_by_song_as_well():
    for first, second in itertools.combinations(make_species("species", 0, 60, 12), 2):
        if first.group == second.group:
            assert first.attributes["song"] != second.attributes["song"]


def test_base_world_is_disjoint_from_the_species():
    species, base = make_kinds("species", 0, 400, 24), make_kinds("base", 0, 400, 24)
    assert not {s.name for s in species} & {b.name for b in base}
    assert not {s.group for s in species} & {b.group for b in base}
    assert not {s.attributes["shape"] for s in species} & {b.attributes["shape"] for b in base}
    assert not {b.name for b in SPECIES_BUILDS} & {b.name for b in BASE_BUILDS}


@pytest.mark.parametrize("seed", SEEDS)
def test_base_world_is_disjoint_from_the_categories_of_scenes(seed):
    """A thing wears no colour that its family wears in scenes, a bird no scene bird's plumage."""
    base = make_kinds("base", seed, 400, 24)
    things = {(category.shape, colour) for category in CATEGORIES for colour in category.colours}
    assert not things & {
        (b.attributes["shape"], b.attributes["colour"]) for b in base if isinstance(b, Thing)
    }
    birds = [category.attributes() for category in CATEGORIES if category.is_bird]
    for kind in base:
        assert not any(bird.items() <= dict(kind.attributes).items() for bird in birds)
    assert not {b.name.lower() for b in base} & {category.name for category in CATEGORIES}
    assert len({b.name for b in base}) == 400


def test_base_world_is_half_birds_half_things_in_families():
    base = make_kinds("base", 0, 60, 20)
    kinds = Counter(type(kind) for kind in base)
    assert kinds == {Species: 30, Thing: 30}
    assert set(Counter(kind.group for kind in base).values()) == {3}
    assert len({kind.name for kind in base}) == 60


def test_more_species_change_no_earlier_one():
    assert make_species("species", 3, 72, 12)[:60] == make_species("species", 3, 60, 12)


def test_seed_changes_the_species():
    assert make_species("species", 0, 12, 12) != make_species("species", 1, 12, 12)


def test_names_tell_a_mark_of_the_species():
    for species in make_species("species", 0, 60, 12):
        colour, _, part = species.name.split()[0].lower().partition("-")
        place = {"crowned": "crown_colour", "bellied": "belly_colour", "breasted": "breast_colour"}.get(part)
        if place and colour in COLOURS:
            assert species.attributes[place] == colour


def test_contrasting_colours_are_apart_when_they_can_be():
    chosen = contrasting(stream("test"), tuple(COLOURS), 4, ("black",), apart=60)
    assert all(distance(a, b) >= 60 for a, b in itertools.combinations([*chosen, "black"], 2))


def test_contrasting_relaxes_rather_than_fails():
    assert sorted(contrasting(stream("test"), ("grey", "slate"), 2, ("grey",), apart=500)) == [
        "grey",
        "slate",
    ]


def drawn(species: Species, number: int) -> np.ndarray:
    """Draw a species large before a plain background, in the pose that the number names."""
    rng = stream("pose", number)
    bird = pose(rng, species.build)
    left, bottom, right, top = bird.extent()
    scale = 0.85 / max(right - left, top - bottom)
    canvas = Canvas(Image.new("RGB", (128, 128), (128, 160, 128)))
    canvas.place(0.5 - scale * (left + right) / 2, 0.5 + scale * (bottom + top) / 2, scale, False)
    draw_bird(canvas, rng, bird, species.attributes)
    return np.asarray(canvas.finish()[0]).astype(int)


def test_every_difference_between_siblings_can_be_seen():
    species = make_species("species", 0, 60, 12)
    views = [[drawn(s, number) for number in range(2)] for s in species]
    for (i, first), (j, second) in itertools.combinations(enumerate(species), 2):
        if first.group == second.group:
            changed = [(abs(a - b).max(axis=2) > 48).sum() for a, b in zip(views[i], views[j], strict=True)]
            assert np.median(changed) > 20, (first.name, second.name)
