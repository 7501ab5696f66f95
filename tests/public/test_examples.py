"""Every public name says where it comes from and how it is used; the examples run."""

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.tiny import SIDE, make_task

from fieldmark.contract.variants import save_model
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams

from .names import NAMES, PUBLIC, public

SHAPE = re.compile(r"\((?:\.\.\.|database|[A-Z])(?:,| \+)[^)]*\)")  # (N, D), (N,), (..., R), (B, v + c, dim)
SOURCE = re.compile(r"arXiv \d{4}\.\d{5}|IEEE TIP 29, 2020|IJCV 2010")
WITHOUT_SOURCE = ("load",)  # of no paper
WITHOUT_SHAPE = ("noun_phrases",)
CANNOT_FAIL = ("noun_phrases",)  # takes any text


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a trained model and two pictures, as the example of `load` has it."""
    folder = tmp_path_factory.mktemp("trained")
    params = IrtParams.read({"images": {"side": SIDE}, "train": {"steps": 0, "lr": 1e-3}}, "irt")
    model = Irt.build(Irt.named(params, "R"), make_task(folder / "task"))
    save_model(model, folder / "models/irt/variants/R/0")
    for file in ("a.jpg", "b.jpg"):
        Image.new("RGB", (SIDE, SIDE), "white").save(folder / file)
    return folder


def test_the_public_names_are_nineteen_and_those_that_the_packages_export():
    assert len(NAMES) == len(set(NAMES)) == 19
    exported = {module: tuple(sorted(import_module(module).__all__)) for module in PUBLIC}
    assert exported == {module: tuple(sorted(names)) for module, names in PUBLIC.items()}
    folders = Path(inspect.getfile(import_module("fieldmark"))).parent.glob("methods/*/__init__.py")
    assert {f"fieldmark.methods.{path.parent.name}" for path in folders} <= PUBLIC.keys()


def run_example(thing: object, name: str) -> tuple[int, str]:
    """Run the example of a docstring; return how many lines it has and what went wrong."""
    said: list[str] = []
    finder = doctest.DocTestFinder(recurse=False)
    [example] = finder.find(thing, name, module=False, globs={})
    doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    return len(example.examples), "".join(said)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_the_example_runs(module, name, trained, monkeypatch):
    monkeypatch.chdir(trained)
    torch.manual_seed(0)
    lines, wrong = run_example(public(module, name), name)
    assert lines > 1, f"{name} has no example"
    assert not wrong, wrong
    assert f"from {module} import {name}" in public(module, name).__doc__ or name == "load"


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_the_docstring_says_source_errors_and_shapes(module, name):
    text = public(module, name).__doc__
    assert SOURCE.search(text) or name in WITHOUT_SOURCE, "no paper"
    assert re.search(r"\b[Rr]aises\s+\w+Error\b", text) or name in CANNOT_FAIL, "no errors"
    assert SHAPE.search(text) or name in WITHOUT_SHAPE, "no shapes"


def test_an_example_that_is_wrong_or_absent_is_noticed():
    def wrong():
        """Say one.

        >>> 1
        2
        """

    def absent():
        """Say nothing."""

    assert "Expected" in run_example(wrong, "wrong")[1]
    assert run_example(absent, "absent")[0] == 0
