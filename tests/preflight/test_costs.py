"""What presets cost: the rule by hand, and no figure where nothing is known."""

import math
import shlex
from importlib import import_module

import pytest
from support.asked import asked_for
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.sources import cub200, sop
from fieldmark.preflight.costs import COUNTS, PICTURES, PUBLISHED, cost_of

PRESETS = ROOT / "presets"
ORIGINALS = [f"datasets.sop.{change}" for change in ("side=null", "encoding=jpeg", "shape=shorter_side")]


def cost(name, *settings):
    return cost_of(Configuration(asked_for(" ".join(map(shlex.quote, (name, *settings))))))


def test_hours_are_pictures_over_a_measured_rate():
    found = cost("irt-cub200")  # L and R; O is not trained
    assert found.hours == pytest.approx(2 * 2000 * 64 / 1050.70 / 3600)
    assert cost("irt-cub200", "irt.seeds=[0,1,2]").hours == pytest.approx(3 * found.hours)
    assert cost("irt-cub200", "irt.variants=[O]").hours == 0
    assert cost("irt-cub200", "irt.images.side=112").hours == pytest.approx(found.hours / 4)


def test_students_and_a_larger_side_count():
    steps, rate = 41_668 * 16, 1218.01 / 4  # pictures; a second, of 448 px
    both = cost("pma-aircraft", "pma.variants=[plain,vision]").hours
    assert both == pytest.approx(4 * steps / rate / 3600, rel=1e-3)
    assert cost("pma-aircraft", "distill={}").hours == pytest.approx(both / 2)


def test_an_arm_counts_with_its_own_network():
    one = 2000 * 64 / 3600
    assert cost("irt-cub200-pooling").hours == pytest.approx(4 * one / 1050.70)
    rates = (*2 * (1050.70,), 1050.70, 1028.80, 390.04, 384.06, *3 * (1218.01,), *2 * (747.89,))
    assert cost("irt-cub200-models").hours == pytest.approx(sum(one / rate for rate in rates))


def test_passes_are_over_the_official_training_pictures():
    given = "irt.train={passes: 10, batch_size: 64, lr: 1e-3}"
    assert cost("irt-cub200", given).hours == pytest.approx(2 * 10 * 5864 / 1050.70 / 3600)
    assert cost("irt-photos", given).hours is None


def test_views_count_by_their_pixels():
    pixels = 4 / 3 * 224**2 + 70 * 16**2 + 9 * 96**2
    expected = 125_100 * 1024 * pixels / 224**2 / 392.99 / 3600
    assert cost("loca-imagenet1k").hours == pytest.approx(expected)


def test_disk_follows_the_published_size():
    assert (cost("irt-sop").data, cost("irt-sop").at_hand) == (3.08, False)
    assert cost("irt-sop", *ORIGINALS).disk == pytest.approx(5 * 3.08)
    there = cost("irt-sop", "datasets.sop.sop.path=/data/sop", *ORIGINALS)
    assert (there.data, there.at_hand, there.disk) == (3.08, True, pytest.approx(2 * 3.08))
    for source in (cub200, sop):
        name = source.__name__.rpartition(".")[2]
        assert math.isclose(PUBLISHED[name], source.SIZE / 1e9, abs_tol=0.01)


def test_raw_squares_take_a_byte_per_pixel_and_channel():
    square = 256 * 256 * 3 / 1e9
    assert cost("irt-sop").disk == pytest.approx(3 * 3.08 + 2 * 120_053 * square)
    there = cost("irt-sop", "datasets.sop.sop.path=/data/sop")
    assert there.disk == pytest.approx(2 * 120_053 * square)
    assert cost("irt-sop", "datasets.sop.side=128").disk == pytest.approx(3 * 3.08 + there.disk / 4)
    assert cost("irt-inshop").texts[:2] == ("at hand", "~21 GB")
    assert cost("frpt-cars196").texts[1] == "~6 GB"
    for name, pictures in COUNTS.items():
        assert f"{pictures:,} photographs" in str(import_module(f"fieldmark.datasets.sources.{name}").__doc__)


def test_what_is_not_known_is_not_made_up():
    assert cost("irt-inshop", "datasets.inshop.encoding=jpeg").texts[:2] == ("at hand", "–")
    assert (
        cost("irt-cub200", "datasets.cub200.shape=shorter_side").disk is None
    )  # as long as they are, in raw
    assert cost("quick").texts == ("rendered", "–", "–")  # networks of its own, trained here
    assert cost("pma-cub200", "backbones.resnet50.options={output_stride: 16}").hours is None
    assert cost("pma-cub200", "backbones.resnet50.arch=convnext_tiny").hours is None


def test_estimates_say_so():
    data, disk, hours = cost("pma-cub200").texts
    assert data == "1.1 GB"
    assert disk == "~6 GB"
    assert hours.startswith("~")
    assert cost("irt-cub200", "irt.train.steps=10").texts[2] == "under 0.1"


def test_pictures_of_a_preset_are_those_that_its_header_counts():
    """Where a recipe in steps says how many pictures it counts on, the table agrees."""
    for name, pictures in (("pma-flowers102", 2_040), ("pma-cars196", 8_144), ("pma-aircraft", 6_667)):
        source = read_yaml(PRESETS / f"{name}.yaml")["datasets"].popitem()[1]["source"]
        assert PICTURES[source, "classification"] == pictures
        assert f"{pictures:,} photographs" in (PRESETS / f"{name}.yaml").read_text()
