"""Sentences from templates."""

import pytest

from fieldmark.towers.templates import fields, fill, prompt


def test_a_prompt_has_the_final_dot_and_no_underscores():
    assert prompt("a photo of a {}.", "diningtable") == "a photo of a diningtable."
    assert prompt("a photo of a {}.", " traffic_light_ ") == "a photo of a traffic light."


def test_braces_in_a_name_are_only_text():
    assert prompt("a {}.", "{x} {}") == "a {x} {}."


def test_filling_needs_every_name():
    values = {"shape": "duck", "back_colour": "dark_grey", "n": "3"}
    assert fields("a {back_colour} {shape}, {{{shape}}}") == ["back_colour", "shape", "shape"]
    assert fill("a {back_colour} {shape}", values) == "a dark grey duck"
    assert fill("a {crown_colour} {shape}", values) is None
    assert fill("nothing", {}) == "nothing"


@pytest.mark.parametrize("template", ["{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{", "a } b", "{a b}"])
def test_other_braces_are_refused(template):
    with pytest.raises(ValueError):
        fields(template)
