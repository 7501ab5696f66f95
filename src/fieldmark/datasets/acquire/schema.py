"""The `datasets:` block of `params.yaml`: which source, and how its pictures are packed and checked."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from fieldmark.base.blocks import Block, nearest, now_called, parse, pick
from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.source import Source, load_source

Shape = Literal["shorter_side", "square"]


class Expect(Block):
    """What `prepare` and `validate` expect of every picture.

    Sides are in pixels of the original picture, and `max_aspect` is the longer side divided by the shorter.
    `box_overreach` is how many pixels a box may reach past the edge of its picture; it is clipped there.
    `captioned` is the smallest allowed fraction of pictures with a caption, where the source promises captions;
    `labelled` is the smallest allowed fraction of pictures with a label, where pictures have several labels.
    """

    min_side: int = Field(default=32, ge=1)
    max_side: int = Field(default=10000, ge=1)
    max_aspect: float = Field(default=5.0, ge=1.0)
    box_overreach: float = Field(default=8.0, ge=0.0)
    captioned: float = Field(default=1.0, ge=0.0, le=1.0)
    labelled: float = Field(default=0.9, ge=0.0, le=1.0)


class DatasetParams(Block):
    """One item of `datasets:`.

    `settings` is the block of the source; in `params.yaml` it stands under the source's name. `side` resizes
    pictures: with the `shape` "shorter_side" in proportion, so that their shorter side has that many pixels; with
    "square" both sides have, as loading resizes them by `images.shape: square`. None keeps them as they are.
    `encoding` is how the store keeps them: "raw" pixels for small pictures, "jpeg" otherwise. `bad_images` is how many
    unusable pictures `prepare` tolerates.
    """

    renamed: ClassVar[Mapping[str, str]] = {"size": "side"}

    source: str
    settings: SerializeAsAny[Block]
    side: int | None = Field(default=None, ge=1)
    shape: Shape = "shorter_side"
    encoding: Literal["raw", "jpeg"] = "jpeg"
    bad_images: int = Field(default=0, ge=0)
    expect: Expect = Expect()

    @classmethod
    def read(cls, mapping: Any, where: str) -> Self:
        """Parse one item: the block of the source with the Params of the source, the rest with this class."""
        if not isinstance(mapping, dict):
            raise UserError(f"parameter {where} must be a mapping, it is {mapping!r:.80}")
        name = pick(mapping, "source", where)
        if not isinstance(name, str):
            raise UserError(f"parameter {where}.source must be the name of a source, it is {name!r:.80}")
        source = load_source(name)
        _refuse_unknown(mapping, [name, *cls.model_fields.keys() - {"settings"}], where)
        settings = parse(source.Params, mapping.get(name, {}), f"{where}.{name}")
        common = {key: value for key, value in mapping.items() if key != name}
        return parse(cls, {**common, "settings": settings}, where)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.shape == "square" and self.side is None:
            raise ValueError("shape square needs a side; where side is null, write shape: shorter_side")
        return self

    def open_source(self) -> Source:
        """Return the source with its settings."""
        return load_source(self.source)(self.settings)


def _refuse_unknown(mapping: dict[str, Any], known: list[str], where: str) -> None:
    for key in mapping:
        if key in DatasetParams.renamed:
            raise UserError(now_called(f"{where}.{key}", DatasetParams.renamed[key]))
        if key not in known:
            source = mapping["source"]
            raise UserError(
                f"unknown parameter {where}.{key} (the source is '{source}'){nearest(str(key), known)}"
            )
