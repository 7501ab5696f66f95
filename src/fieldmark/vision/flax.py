"""Reading what flax writes: MessagePack with arrays in it. Nothing of a file is executed, and every length is checked.

flax.serialization puts an array into an extension of type 1 (a number into type 3), itself MessagePack: shape, name of
the dtype, and the bytes in C order. https://github.com/msgpack/msgpack/blob/master/spec.md has the format.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.base.errors import UserError

ARRAY, NUMBER = 1, 3  # types of flax's extensions
DTYPES = (
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "bool",
)
DEEPEST = 64  # nesting of a file that is read
# First byte -> struct format of a number, or of the length of what follows.
NUMBERS = {
    **{0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"},
    **{0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"},
}
TEXTS = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
BYTES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
LISTS = {0xDC: ">H", 0xDD: ">I"}
MAPS = {0xDE: ">H", 0xDF: ">I"}
EXTENSIONS = {0xC7: ">B", 0xC8: ">H", 0xC9: ">I"}
SHORT_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class MalformedError(ValueError):
    """The bytes are not what flax writes."""


def is_flax(path: Path) -> bool:
    """Say whether a file begins as a map of MessagePack does; a safetensors file begins with a length and a brace."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return len(start) == 9 and start[8:] != b"{" and (start[0] >> 4 == 0x8 or start[0] in MAPS)


def read_flax(path: Path) -> Mapping[str, Any]:
    """Read a tree of arrays; these stay in the file until they are used. Raises UserError for a damaged file."""
    with path.open("rb") as stream:
        content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)  # closed with the last array
    try:
        tree = _Reader(memoryview(content)).whole()
    except (MalformedError, struct.error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no flax checkpoint, or not all of it ({error}); get it again") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} is no flax checkpoint: it holds no map of names")
    return tree


@dataclass
class _Reader:
    """Reads one value after another from `content`."""

    content: memoryview
    place: int = 0
    depth: int = 0

    def whole(self) -> Any:
        """Return the only value that there is."""
        value = self.value()
        if self.place != len(self.content):
            raise MalformedError(f"{len(self.content) - self.place} bytes follow its end")
        return value

    def value(self) -> Any:
        """Return the next value."""
        first = self._number(">B")
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first < 0xC0:
            length = first & (0x1F if first >= 0xA0 else 0x0F)
            read = self._text if first >= 0xA0 else self._list if first >= 0x90 else self._map
            return read(length)
        if first in CONSTANTS:
            return CONSTANTS[first]
        if first in NUMBERS:
            return self._number(NUMBERS[first])
        if first in SHORT_EXTENSIONS:
            return self._extension(SHORT_EXTENSIONS[first])
        for formats, sized in (
            (TEXTS, self._text),
            (BYTES, self._bytes),
            (LISTS, self._list),
            (MAPS, self._map),
            (EXTENSIONS, self._extension),
        ):
            if first in formats:
                return sized(self._number(formats[first]))
        raise MalformedError(f"byte {first:#x} begins no value")

    def _bytes(self, length: int) -> memoryview:
        end = self.place + length
        if end > len(self.content):
            raise MalformedError(f"it ends after {len(self.content)} bytes")
        taken, self.place = self.content[self.place : end], end
        return taken

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._bytes(struct.calcsize(form)))[0]

    def _text(self, length: int) -> str:
        return str(self._bytes(length), "utf-8")

    def _list(self, length: int) -> list[Any]:
        self._deeper()
        values = [self.value() for _ in range(length)]
        self.depth -= 1
        return values

    def _map(self, length: int) -> dict[str, Any]:
        self._deeper()
        tree = {}
        for _ in range(length):
            key = self.value()
            if not isinstance(key, str):
                raise MalformedError("a name is no text")
            tree[key] = self.value()
        self.depth -= 1
        return tree

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise MalformedError(f"it is nested more than {DEEPEST} deep")

    def _extension(self, length: int) -> Any:
        kind, content = self._number(">b"), self._bytes(length)
        self._deeper()
        value = _array(_Reader(content, depth=self.depth).whole()) if kind in (ARRAY, NUMBER) else None
        self.depth -= 1
        return value


def _array(parts: Any) -> np.ndarray[Any, Any]:
    """Turn [shape, name of the dtype, bytes] into an array that shares the file's memory."""
    if not (isinstance(parts, list) and len(parts) == 3 and isinstance(parts[2], memoryview)):
        raise MalformedError("an array is not shape, dtype and bytes")
    shape, name, content = parts
    name = str(name, "ascii") if isinstance(name, memoryview) else name
    if name not in DTYPES:
        raise MalformedError(f"an array of {name!s:.20} is not read")
    if not (isinstance(shape, list) and all(isinstance(side, int) and side >= 0 for side in shape)):
        raise MalformedError("the shape of an array is no list of lengths")
    dtype = np.dtype(name).newbyteorder("<")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise MalformedError(f"an array of shape {tuple(shape)} has {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape)
