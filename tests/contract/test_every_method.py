"""Every method of params.yaml says its variants and its parameters in the same way."""

import copy
import functools
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from support.wired import CONFIGURATION, METHODS, tiny, wired_task

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.method import MethodParams, Variant
from fieldmark.contract.registry import known_methods, load_method
from fieldmark.contract.variants import load_variants, train_variants
from fieldmark.engine.wiring import read_wiring

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
    assert method.title


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
        for variant, other in itertools.combinations(load_method(name).variants(block), 2):
            if variant.title == other.title:
                assert (variant.params, variant.parts) == (other.params, other.parts)


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_variant_is_refused_with_the_nearest(name: str) -> None:
    known = real(name).variants[-1]
    with pytest.raises(UserError, match=rf"{name}\.variants has no '{known}s'; did you mean '.+'\?$"):
        load_method(name).named(real(name), f"{known}s")


def parameters(block: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every parameter of a block that the schema knows; `options` are a library's own.

    Those in `networks` have names that the user chooses, and then parameters of the schema.
    """
    for key, value in block.items():
        yield (key,)
        if isinstance(value, dict) and key != "options":
            named = key == "networks"
            yield from ((key, *path) for path in parameters(value) if not named or len(path) > 1)


@pytest.mark.parametrize("name", METHODS)
def test_a_misspelt_parameter_is_refused_with_the_right_one(name: str) -> None:
    for *path, right in parameters(CONFIGURATION.content[name]):
        written = copy.deepcopy(dict(CONFIGURATION.content[name]))
        block = functools.reduce(dict.__getitem__, path, written)
        wrong = right + right[-1]
        block[wrong] = block.pop(right)
        with pytest.raises(UserError) as caught:
            parse(load_method(name).Params, written, name)
        dotted = ".".join([name, *path, wrong])
        assert str(caught.value) == f"unknown parameter {dotted}; did you mean '{right}'?"


@pytest.mark.parametrize("name", METHODS)
def test_all_variants_of_a_block_are_trained_saved_and_loaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    block = tiny(name, {"train": {"steps": 1}})
    task = wired_task(tmp_path / "data", read_wiring(CONFIGURATION, name))
    asked = load_method(name).variants(block)
    curves = train_variants(name, block, task, tmp_path / "models")
    assert list(curves) == [f"{variant.name}/0" for variant in asked if variant.trained]
    loaded = load_variants(name, block, tmp_path / "models")
    assert [(key, model.variant) for key, [model] in loaded.items()] == [(v.name, v) for v in asked]
    assert not any(model.training for [model] in loaded.values())
