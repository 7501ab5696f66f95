"""All of `params.yaml`, read once and parsed block by block."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fieldmark.base.blocks import Block, nearest, pick, read_yaml
from fieldmark.base.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
B = TypeVar("B", bound=Block)


@dataclass(frozen=True)
class Configuration:
    """The blocks of `params.yaml`. Each is parsed when it is first asked for, and then kept.

    The caller brings the schema, so that a stage depends on the schemas of the blocks that it uses and on no others.
    """

    content: Mapping[str, Any]
    _parsed: dict[tuple[str, type[Block]], Block] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, path: Path) -> "Configuration":
        """Read the file. Raises UserError when it is absent or malformed."""
        return cls(read_yaml(path))

    def note(self) -> str:
        """What the report says on top of its page; empty without a `note`. Raises UserError for one that is no text."""
        note = self.content.get("note") or ""
        if not isinstance(note, str):
            raise UserError(f"note must be a sentence for the top of the report, it is {note!r:.80}")
        return note

    def block(self, name: str, schema: type[B]) -> B:
        """Return the block `name`, such as `runtime`; where it is absent, all its parameters have their defaults.

        Raises UserError for a wrong block, and for an absent one whose schema has no defaults.
        """
        return self._read(schema, self.content.get(name, {}), name)

    def method_block(self, name: str, schema: type[B]) -> B:
        """Return the block of a method, which must be there."""
        return self._read(schema, pick(dict(self.content), name, "params.yaml"), name)

    def section(self, name: str) -> Mapping[str, Any]:
        """Return the items of a section such as `backbones` by name, not parsed; empty where the section is absent.

        Raises UserError for a section that is not a mapping and for a name that cannot be the name of a file.
        """
        items = self.content.get(name, {})
        if not isinstance(items, dict):
            raise UserError(f"parameter {name} must map names to blocks, it is {items!r:.80}")
        for key in items:
            if not (isinstance(key, str) and NAME.fullmatch(key)):
                raise UserError(f"{name}: {key!r} cannot be a name; use letters, digits, '-' and '_'")
        return items

    def item(self, section: str, name: str, schema: type[B]) -> B:
        """Return one item of a section. Raises UserError, with the nearest name, when it is not there."""
        return self._read(schema, self.raw_item(section, name), f"{section}.{name}")

    def raw_item(self, section: str, name: str) -> Any:
        """Return one item of a section as it is written, not parsed. Raises UserError when it is not there."""
        return pick(dict(self.section(section)), name, section)

    def require(self, section: str, name: str, where: str) -> None:
        """Raise UserError, naming `where` it is asked for, when a section lacks an item."""
        known = list(self.section(section))
        if name not in known:
            raise UserError(f"{where}: {section} has no '{name}'{nearest(name, known) if known else ''}")

    def require_split(self, split: str, dataset: str, where: str) -> None:
        """Raise UserError, naming `where` it is asked for, unless `split` is an item of `splits:` and of `dataset`."""
        known = list(self.section("splits"))
        if split not in known:
            raise UserError(
                f"{where}.split: there is no split '{split}'{nearest(split, known) if known else ''}"
            )
        item = self.raw_item("splits", split)
        owner = item.get("dataset") if isinstance(item, dict) else None
        if owner != dataset:
            raise UserError(f"{where}.dataset is '{dataset}', but split '{split}' is of data set '{owner}'")

    def _read(self, schema: type[B], mapping: Any, where: str) -> B:
        key = (where, schema)
        if key not in self._parsed:
            self._parsed[key] = schema.read(mapping, where)
        block = self._parsed[key]
        assert isinstance(block, schema)
        return block
