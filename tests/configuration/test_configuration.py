"""params.yaml as one object: each block is parsed once, by whoever asks for it; nothing can be changed."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from pydantic import ValidationError

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration


class Counted(Block):
    """A schema that remembers how often it was read, and where."""

    read_at: ClassVar[list[str]] = []
    depth: int = 1

    @classmethod
    def read(cls, mapping: Any, where: str) -> Self:
        cls.read_at.append(where)
        return super().read(mapping, where)


class Other(Block):
    """Another schema of the same block."""

    depth: float = 1.0


@pytest.fixture
def read_at() -> list[str]:
    Counted.read_at.clear()
    return Counted.read_at


@pytest.fixture
def configuration() -> Configuration:
    return Configuration({"irt": {"depth": 2}, "backbones": {"vit": {"depth": 3}, "resnet": {}}})


def test_each_block_is_parsed_once_and_only_when_it_is_asked_for(
    configuration: Configuration, read_at: list[str]
) -> None:
    assert read_at == []
    first = configuration.block("irt", Counted)
    assert first.depth == 2
    assert configuration.block("irt", Counted) is first
    assert configuration.method_block("irt", Counted) is first
    items = [configuration.item("backbones", "vit", Counted) for _ in range(3)]
    assert items[0] is items[1] is items[2]
    assert configuration.item("backbones", "resnet", Counted).depth == 1
    assert read_at == ["irt", "backbones.vit", "backbones.resnet"]


def test_two_schemas_of_one_block_are_two(configuration: Configuration) -> None:
    counted, other = configuration.block("irt", Counted), configuration.block("irt", Other)
    assert (type(counted), type(other)) == (Counted, Other)
    assert configuration.block("irt", Other) is other


def test_two_configurations_share_nothing(read_at: list[str]) -> None:
    depths = [Configuration({"irt": {"depth": n}}).block("irt", Counted).depth for n in (1, 2)]
    assert depths == [1, 2]
    assert read_at == ["irt", "irt"]


def test_nothing_can_be_changed(configuration: Configuration) -> None:
    with pytest.raises(FrozenInstanceError):
        configuration.content = {}  # type: ignore[misc]
    block = configuration.block("irt", Counted)
    with pytest.raises(ValidationError, match="frozen"):
        block.depth = 5  # type: ignore[misc]
    assert configuration.block("irt", Counted).depth == 2


def test_a_mistake_is_told_each_time_with_its_place(configuration: Configuration) -> None:
    wrong = Configuration({"backbones": {"vit": {"deph": 3}}})
    for _ in range(2):
        with pytest.raises(UserError, match=r"^unknown parameter backbones\.vit\.deph; did you mean 'depth'"):
            wrong.item("backbones", "vit", Counted)


@pytest.mark.parametrize("name", ["../birds", "a/b", "", ".hidden", "two words", "-flag", "a.b", 3, None])
def test_a_name_that_cannot_be_a_file_is_refused(name: Any) -> None:
    wrong = Configuration({"backbones": {"vit": {}, name: {}}})
    for ask in (
        lambda: wrong.section("backbones"),
        lambda: wrong.item("backbones", "vit", Counted),
        lambda: wrong.require("backbones", "vit", "here"),
    ):
        with pytest.raises(
            UserError, match=r"^backbones: .* cannot be a name; use letters, digits"
        ) as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", [["vit"], "vit", 3, None])
def test_a_section_must_map_names_to_blocks(section: Any) -> None:
    with pytest.raises(UserError, match=r"^parameter backbones must map names to blocks, it is "):
        Configuration({"backbones": section}).section("backbones")


def test_an_absent_section_is_empty_and_an_absent_block_all_defaults() -> None:
    empty = Configuration({})
    assert empty.section("backbones") == {}
    assert empty.block("irt", Counted).depth == 1
    with pytest.raises(UserError, match=r"^params\.yaml has no 'irt'"):
        empty.method_block("irt", Counted)


def test_what_is_not_there_is_named_with_the_nearest(configuration: Configuration) -> None:
    with pytest.raises(UserError, match=r"^backbones has no 'vitt'; did you mean 'vit'\?"):
        configuration.item("backbones", "vitt", Counted)
    with pytest.raises(UserError, match=r"^irt\.backbone: backbones has no 'resnt'; did you mean 'resnet'\?"):
        configuration.require("backbones", "resnt", "irt.backbone")
    with pytest.raises(UserError, match=r"^irt\.text: phrases has no 'birds'$"):
        configuration.require("phrases", "birds", "irt.text")
    configuration.require("backbones", "vit", "irt.backbone")


def test_an_item_as_it_is_written_is_not_parsed(configuration: Configuration, read_at: list[str]) -> None:
    raw: Mapping[str, Any] = configuration.raw_item("backbones", "vit")
    assert raw == {"depth": 3}
    assert read_at == []


def test_a_file_is_read_once_and_an_absent_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("irt: {depth: 7}\n")
    configuration = Configuration.read(path)
    path.write_text("irt: {depth: 8}\n")
    assert configuration.block("irt", Counted).depth == 7
    with pytest.raises(UserError, match="does not exist; run from the repository root"):
        Configuration.read(tmp_path / "absent.yaml")
