"""The `datasets:` block of `params.yaml`: which source, and how its pictures are packed and checked."""

import re
from typing import Any, Literal

from pydantic import Field, SerializeAsAny

from fieldmark.base.blocks import Block, nearest, parse, pick
from fieldmark.base.errors import UserError
from fieldmark.datasets.sources import Source, load_source

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Expect(Block):
    """What `prepare` and `validate` expect of every picture.

    Sides are in pixels of the original picture, `max_aspect` is the longer side over the shorter,
    `box_overreach` is by how many pixels a box may pass the picture's edge (it is clipped), `captioned` is
    the least share of pictures with a caption where the source promises captions, `labelled` the least share
    of pictures with a label in a set of several labels per picture.
    """

    min_side: int = Field(default=32, ge=1)
    max_side: int = Field(default=10000, ge=1)
    max_aspect: float = Field(default=5.0, ge=1.0)
    box_overreach: float = Field(default=8.0, ge=0.0)
    captioned: float = Field(default=1.0, ge=0.0, le=1.0)
    labelled: float = Field(default=0.9, ge=0.0, le=1.0)


class DatasetParams(Block):
    """One item of `datasets:`.

    `settings` is the source's own block, written under the source's name. `size` resizes so that the shorter
    side has that many pixels (None keeps the size). `encoding` of the store: "raw" pixels for small pictures,
    "jpeg" otherwise. `bad_images` is how many unusable pictures `prepare` tolerates.
    """

    source: str
    settings: SerializeAsAny[Block]
    size: int | None = Field(default=None, ge=1)
    encoding: Literal["raw", "jpeg"] = "jpeg"
    bad_images: int = Field(default=0, ge=0)
    expect: Expect = Expect()

    def open_source(self) -> Source:
        """Return the source with its settings."""
        return load_source(self.source)(self.settings)


def read_datasets(params: dict[str, Any]) -> dict[str, DatasetParams]:
    """Return every item of `datasets:`. Raises UserError, one line, for whatever is wrong in any of them."""
    items = named_items(params, "datasets")
    return {name: _parse_dataset(item, f"datasets.{name}") for name, item in items.items()}


def read_dataset(params: dict[str, Any], name: str) -> DatasetParams:
    """Return the item `name` of `datasets:`. Raises UserError when it is absent or wrong."""
    return _parse_dataset(pick(named_items(params, "datasets"), name, "datasets"), f"datasets.{name}")


def named_items(params: dict[str, Any], block: str) -> dict[str, Any]:
    """Return the mapping at `block`, whose keys are file names without an ending. Raises UserError."""
    items = pick(params, block, "params.yaml")
    if not isinstance(items, dict):
        raise UserError(f"parameter {block} must map names to blocks, it is {items!r:.80}")
    for name in items:
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise UserError(f"{block}: {name!r} cannot be a name; use letters, digits, '-' and '_'")
    return items


def _parse_dataset(mapping: Any, where: str) -> DatasetParams:
    """Parse one item: the source's own block with the source's Params, the rest here."""
    if not isinstance(mapping, dict):
        raise UserError(f"parameter {where} must be a mapping, it is {mapping!r:.80}")
    name = pick(mapping, "source", where)
    if not isinstance(name, str):
        raise UserError(f"parameter {where}.source must be the name of a source, it is {name!r:.80}")
    source = load_source(name)
    _refuse_unknown(mapping, [name, *DatasetParams.model_fields.keys() - {"settings"}], where)
    settings = parse(source.Params, mapping.get(name, {}), f"{where}.{name}")
    common = {key: value for key, value in mapping.items() if key != name}
    return parse(DatasetParams, {**common, "settings": settings}, where)


def _refuse_unknown(mapping: dict[str, Any], known: list[str], where: str) -> None:
    for key in mapping:
        if key not in known:
            source = mapping["source"]
            raise UserError(
                f"unknown parameter {where}.{key} (the source is '{source}'){nearest(str(key), known)}"
            )
