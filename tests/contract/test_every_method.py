"""Every method of params.yaml says its variants and its parameters in the same way."""

import itertools
from typing import Any

import pytest
from support.wired import CONFIGURATION, METHODS, tiny

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.method import MethodParams, Variant
from fieldmark.contract.registry import known_methods, load_method

AnyVariant = Variant[Any, Any]


def real(name: str) -> MethodParams:
    """The block of a method as it is written in params.yaml."""
    return CONFIGURATION.method_block(name, load_method(name).Params)


def blocks(name: str) -> list[MethodParams]:
    """The real block, and the tiny one, which asks for everything that the schema knows."""
    return [real(name), tiny(name)]


def variants(name: str) -> list[AnyVariant]:
    return [variant for block in blocks(name) for variant in load_method(name).variants(block)]


def test_every_method_has_a_block() -> None:
    assert sorted(METHODS) == known_methods()


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_called_as_its_folder(name: str) -> None:
    method = load_method(name)
    assert method.name == name
    assert method.title.startswith(f"{name.upper()}: ")


@pytest.mark.parametrize("name", METHODS)
def test_variants_follow_the_block(name: str) -> None:
    for block in blocks(name):
        names = [variant.name for variant in load_method(name).variants(block)]
        assert names[: len(block.variants)] == list(block.variants)
        assert len(set(names)) == len(names)
    assert set(real(name).variants) <= set(tiny(name).variants)


@pytest.mark.parametrize("name", METHODS)
def test_the_block_of_a_variant_asks_for_that_variant_again(name: str) -> None:
    method = load_method(name)
    for variant in variants(name):
        assert method.named(variant.params, variant.name) == variant
        written = variant.params.model_dump(mode="json", by_alias=True)
        assert method.named(parse(method.Params, written, name), variant.name) == variant


@pytest.mark.parametrize("name", METHODS)
def test_what_differs_has_another_title(name: str) -> None:
    for block in blocks(name):
        for one, other in itertools.combinations(load_method(name).variants(block), 2):
            same = one.title == other.title
            assert not same or (one.params, one.parts) == (other.params, other.parts)


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_variant_is_refused_with_the_nearest(name: str) -> None:
    known = real(name).variants[-1]
    with pytest.raises(UserError, match=rf"{name}\.variants has no '{known}s'; did you mean '.+'\?$"):
        load_method(name).named(real(name), f"{known}s")


@pytest.mark.parametrize(
    ("name", "parameter"),
    [(name, parameter) for name in METHODS for parameter in CONFIGURATION.content[name]],
)
def test_a_misspelt_parameter_is_refused_with_the_right_one(name: str, parameter: str) -> None:
    written = dict(CONFIGURATION.content[name])
    wrong = parameter + parameter[-1]
    written[wrong] = written.pop(parameter)
    with pytest.raises(UserError) as caught:
        parse(load_method(name).Params, written, name)
    assert str(caught.value) == f"unknown parameter {name}.{wrong}; did you mean '{parameter}'?"
