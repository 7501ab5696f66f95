"""Where pictures come from: one file per source, found by its name.

A new source is one file in `fieldmark/datasets/sources` that defines `SOURCE`, a class of the shape of `Source`.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from fieldmark.base.blocks import Block, nearest
from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.records import LeftOut, Record

SOURCES = Path(__file__).resolve().parents[1] / "sources"


class Source(Protocol):
    """Fetches pictures into a folder, once, and yields them as records in a fixed order.

    `Params` is the source's block in `params.yaml`; `promises` says for "captions", "boxes" and "masks"
    whether every picture has one. `validate` checks that the promises are kept.
    """

    Params: ClassVar[type[Block]]
    promises: Mapping[str, bool]

    def __init__(self, params: Any) -> None: ...

    def fetch(self, destination: Path) -> None:
        """Download, render or check what is needed; `destination` appears whole or not at all."""

    def records(self, raw: Path) -> Iterator[Record]:
        """Yield the pictures of what `fetch` left in `raw`."""
        ...

    def left_out(self) -> Sequence[LeftOut]:
        """Return what lies beside the pictures of `records` and is no record."""
        ...


def load_source(name: str) -> type[Source]:
    """Return the source class of `sources/<name>.py`. Raises UserError when there is none."""
    known = [path.stem for path in SOURCES.glob("[a-z]*.py")]
    if name not in known:
        raise UserError(f"there is no source '{name}'{nearest(name, known)}")
    return cast(type[Source], import_module(f"fieldmark.datasets.sources.{name}").SOURCE)
