"""Scenes: what meets where, masks and labels that agree, the same bytes for the same parameters."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file
from fieldmark.datasets.sources import world as source
from fieldmark.datasets.sources.world import World
from fieldmark.datasets.world.accounts import tell_scene
from fieldmark.datasets.world.base_scenes import BASE_SCENES
from fieldmark.datasets.world.builds import SPECIES_BUILDS
from fieldmark.datasets.world.randomness import stream
from fieldmark.datasets.world.render import SEEN, render_scene
from fieldmark.datasets.world.scenes import (
    BUILDS,
    CATEGORIES,
    HABITATS,
    MAX_CATEGORIES,
    SCENES,
    category_names,
    make_scene,
)
from fieldmark.datasets.world.staging import seen, stage

ALL = len(CATEGORIES)
TINY = {"part": "scenes", "classes": ALL, "genera": 3, "photographs": 4, "side": 64, "captions": 2}


def tiny(**changes) -> World:
    return World(parse(World.Params, {**TINY, **changes}, "datasets.scenes.world"))


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "raw"
    tiny().fetch(folder)
    return folder


@pytest.fixture(scope="module")
def scenes():
    """What 300 scenes of every habitat are to hold, without drawing them."""
    return [make_scene(stream("test", h, n), h, SCENES) for h in HABITATS for n in range(300)]


def test_records_have_labels_masks_and_captions_and_no_class(raw):
    records = list(tiny().records(raw))
    assert [one.id for one in records] == [f"scenes_{h}/{n:04d}" for h in HABITATS[:3] for n in range(4)]
    values = {name: value for value, name in category_names(CATEGORIES).items()}
    for one in records:
        assert (one.class_name, one.box, one.group) == (None, None, one.attributes["habitat"])
        assert list(one.labels) == sorted(set(one.labels)) != []
        mask = np.asarray(Image.open(io.BytesIO(one.mask)))
        assert mask.shape == (64, 64)
        covered = np.bincount(mask.ravel(), minlength=ALL + 1) >= SEEN * mask.size
        assert {values[name] for name in one.labels} == set(np.flatnonzero(covered[1:]) + 1)
        assert len(set(one.captions)) == 2
    assert len({one.image for one in records}) == 12
    assert tiny().promises == {"captions": True, "boxes": False, "masks": True}


@pytest.mark.parametrize(("change", "same"), [({}, True), ({"seed": 1}, False), ({"classes": 20}, False)])
def test_the_same_parameters_give_the_same_file(raw, tmp_path, change, same):
    tiny(**change).fetch(tmp_path / "again")
    assert (sha256_file(raw / source.FILE) == sha256_file(tmp_path / "again" / source.FILE)) is same


def test_more_photographs_change_no_earlier_one():
    first = render_scene("lake", "0/scenes/lake/1", 48, 2, SCENES)
    assert first == render_scene("lake", "0/scenes/lake/1", 48, 2, SCENES)
    assert first.image != render_scene("lake", "0/scenes/lake/2", 48, 2, SCENES).image


def test_what_is_drawn_fits_the_habitat(scenes):
    for one in scenes:
        assert 1 <= len({item.category for item in one.items}) <= MAX_CATEGORIES
        for item in one.items:
            category = CATEGORIES[item.category]
            assert one.habitat in category.habitats
            assert item.place in category.places
            assert one.habitat in ("lake", "shore") or item.place not in ("water", "wade")


def test_the_frequency_has_a_long_tail_that_every_class_is_part_of(scenes):
    counts = Counter(name for one in scenes for name in {item.category for item in one.items})
    assert len(counts) == ALL
    ordered = [count for _, count in counts.most_common()]
    assert ordered[0] > 25 * ordered[-1]
    assert sum(ordered[:6]) > sum(ordered[6:])
    assert 2.5 < sum(ordered) / len(scenes) < 4.5


def test_company_meets_more_often_than_chance(scenes):
    lakes = [
        {CATEGORIES[item.category].name for item in one.items} for one in scenes if one.habitat == "lake"
    ]
    ducks = [one for one in lakes if "green duck" in one]
    reeds = sum("reeds" in one for one in lakes) / len(lakes)
    assert sum("reeds" in one for one in ducks) / len(ducks) > 1.05 * reeds
    assert not any("grey pigeon" in one for one in lakes)


def test_fewer_categories_are_the_most_popular_ones():
    some = {
        item.category for n in range(60) for item in make_scene(stream(n), "forest", SCENES.first(12)).items
    }
    assert max(some) < 12


def test_every_category_is_drawn_and_labelled_as_itself():
    drawn = set()
    for number in range(120):
        habitat = HABITATS[number % len(HABITATS)]
        rng = stream("draw", number)
        scene = make_scene(rng, habitat, SCENES)
        labels = stage(scene, CATEGORIES, rng, 48).finish()[1]
        found = set(np.unique(np.asarray(labels)).tolist()) - {0}
        assert found <= {item.category + 1 for item in scene.items}
        drawn |= found
    assert len(drawn) >= 20


def test_seen_needs_a_share_of_the_picture():
    labels = np.zeros((10, 10), dtype=np.uint8)
    labels[0, :3], labels[1, 0] = 4, 9
    assert seen(Image.fromarray(labels), 0.03) == [3]
    assert seen(Image.fromarray(labels), 0.01) == [3, 8]


def test_birds_have_every_attribute_that_drawing_needs_and_pose_for_their_places():
    names = {one.name for one in CATEGORIES}
    assert len(names) == ALL
    for one in CATEGORIES:
        assert one.company in {"", *names}
        if one.is_bird:
            assert one.shape in BUILDS
            assert {"back_colour", "bill_colour", "crest", "face", "tail_tip"} <= one.attributes().keys()
            assert all(one.build(place).habits for place in one.places)


def test_the_base_worlds_scenes_hold_none_of_these_categories():
    """No bird of the same build in a like colour, no thing of the same family in the same colour."""
    base = BASE_SCENES.categories
    assert len({category.name for category in base}) == len(base) == 250
    assert not {category.name for category in base} & {category.name for category in CATEGORIES}
    for category in CATEGORIES:
        namesakes = [other for other in base if other.shape == category.shape]
        worn = set(category.colours[:5] if category.is_bird else category.colours)
        assert not any(other.colours[0] in worn for other in namesakes), category.name
    birds = {build.name for build in SPECIES_BUILDS}
    assert not birds & {category.shape for category in base}


def test_the_base_worlds_scenes_show_every_category_about_as_often():
    scenes = [make_scene(stream("test", h, n), h, BASE_SCENES) for h in HABITATS for n in range(400)]
    counts = Counter(name for scene in scenes for name in {item.category for item in scene.items})
    assert len(counts) == 250
    assert max(counts.values()) < 8 * min(counts.values())
    assert 2.5 < sum(counts.values()) / len(scenes) < 4.5


def test_the_base_worlds_scenes_are_drawn_labelled_and_told(tmp_path):
    world = tiny(part="base_scenes", classes=250, genera=5)
    world.fetch(tmp_path / "raw")
    records = list(world.records(tmp_path / "raw"))
    assert [one.id for one in records] == [f"base_scenes_{h}/{n:04d}" for h in HABITATS for n in range(4)]
    names = {category.name for category in BASE_SCENES.categories}
    for one in records:
        assert set(one.labels) <= names
        assert {name for name in names if any(f" {name}" in text for text in one.captions)} <= set(one.labels)
    assert sum(len(one.labels) for one in records) > 30


def test_captions_name_only_what_is_seen():
    for text in tell_scene(stream("c"), "shore", ("boat", "reeds", "umbrella"), 20):
        assert "house" not in text
        assert "a umbrella" not in text
        assert "a reeds" not in text
    assert any("some teal reeds" in text for text in tell_scene(stream("c"), "lake", ("teal reeds",), 9))
    assert len(set(tell_scene(stream("c"), "lake", (), 3))) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 25}, "12 to 24 classes"),
        ({"classes": 11}, "12 to 24"),
        ({"genera": 6}, "at most 5 genera"),
        ({"part": "base_scenes", "classes": 251}, "12 to 250 classes"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(change, message):
    with pytest.raises(UserError, match=message) as error:
        tiny(**change)
    assert "\n" not in str(error.value)
