"""Reading parameters: YAML 1.2, strict names, one-line errors."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, model_validator

from fieldmark.base.blocks import Block, nearest, parse, pick, read_yaml
from fieldmark.base.errors import UserError


class Inner(Block):
    renamed: ClassVar[Mapping[str, str]] = {"pace": "rate"}

    rate: float = Field(gt=0)
    lambda_: float = Field(0.7, alias="lambda")


class Outer(Block):
    steps: int = 3
    inner: Inner
    other: Inner | None = None

    @model_validator(mode="after")
    def _sound(self) -> "Outer":
        if self.steps == 7:
            raise ValueError("Steps must not be 7")
        return self


def test_exponents_are_floats(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("inner: {rate: 1e-4, lambda: 2}\n")
    block = parse(Outer, read_yaml(tmp_path / "p.yaml"), "outer")
    assert block == Outer(inner=Inner(rate=0.0001, lambda_=2.0))


def test_blocks_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner(rate=1.0).rate = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"inner": {"rate": 1}, "step": 1}, "unknown parameter outer.step; did you mean 'steps'?"),
        ({"inner": {"rate": 1, "lamda": 1}}, "unknown parameter outer.inner.lamda; did you mean 'lambda'?"),
        ({"inner": {"rate": 1, "qqq": 1}}, "unknown parameter outer.inner.qqq; it knows: lambda, rate"),
        ({"inner": {"rate": 1, "pace": 1}}, "parameter outer.inner.pace is called rate now"),
        (
            {"inner": {"rate": 1}, "other": {"rate": 1, "pace": 1}},
            "parameter outer.other.pace is called rate now",
        ),
        (
            {"inner": {"rate": 1}, "other": {"rate": 1, "lamda": 1}},
            "unknown parameter outer.other.lamda; did you mean 'lambda'?",
        ),
        ({"inner": {}}, "parameter outer.inner.rate is missing"),
        ({"inner": {"rate": 0}}, "parameter outer.inner.rate: input should be greater than 0 (it is 0)"),
        ({"inner": {"rate": 1}, "steps": 1.5}, "parameter outer.steps:"),
        ({"inner": 3}, "parameter outer.inner:"),
        ({"inner": {"rate": 1}, "steps": 7}, "parameter outer: steps must not be 7"),
    ],
)
def test_mistakes_are_named(mapping: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(Outer, mapping, "outer")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert "{" not in str(caught.value)  # a block's content is no help


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_yaml(tmp_path / "no.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(UserError, match="not valid YAML") as caught:
        read_yaml(tmp_path / "bad.yaml")
    assert "\n" not in str(caught.value)
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match="must hold a mapping"):
        read_yaml(tmp_path / "list.yaml")


def test_nearest_names() -> None:
    assert nearest("vitt", ["vit", "resnet"]) == "; did you mean 'vit'?"
    assert nearest("zzz", ["b", "a"]) == "; it knows: a, b"
    assert pick({"a": 1}, "a", "x") == 1
    with pytest.raises(UserError, match="x has no 'b'"):
        pick({"a": 1}, "b", "x")
