"""Names, and annotations in JSON: every value is checked where it is read; a message names file, entry and field."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.walking import composed

LONGEST = 60  # characters of a value that a message shows
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object, with or without a byte-order mark.

    Raises UserError when it is absent, not in UTF-8, no JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; the layout is not complete") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not in UTF-8; save it in UTF-8, or copy it again") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON that can be read: {error}; copy it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} should hold an object, as in {{...}}, it holds {_shown(content)}")
    return content


@dataclass(frozen=True)
class Entry:
    """One entry of a list in a JSON file: `kind` is what an entry of this list is called, `number` counts from 1."""

    path: Path
    kind: str
    number: int
    values: dict[str, Any]

    def text(self, field: str) -> str:
        """Return a text in composed Unicode; runs of blanks are kept."""
        value = self._value(field)
        if not isinstance(value, str):
            raise self._wrong(field, "a text")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise self._wrong(field, "a text without half characters (lone surrogates)") from None
        return composed(value)

    def identity(self, field: str) -> str:
        """Return an id, which may be a number or a text: 7, 7.0, "7" and "007" are the same one."""
        value = self._value(field)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
            raise self._wrong(field, "an id, a whole number or a text")
        text = str(value) if isinstance(value, int) else self.text(field).strip()
        return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text

    def number_of(self, field: str) -> float:
        """Return a finite number."""
        value = self._value(field)
        if not _is_number(value):
            raise self._wrong(field, "a number")
        return float(value)

    def box(self, field: str) -> tuple[float, float, float, float]:
        """Return the four finite numbers of a box."""
        value = self._value(field)
        if not (isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))):
            raise self._wrong(field, "four numbers")
        first, second, third, fourth = map(float, value)
        return first, second, third, fourth

    def _value(self, field: str) -> Any:
        if field not in self.values:
            raise UserError(f"{self.path}: {self.place} has no '{field}'; add it, or remove the {self.kind}")
        return self.values[field]

    def _wrong(self, field: str, wanted: str) -> UserError:
        return UserError(
            f"{self.path}: '{field}' of {self.place} should be {wanted}, it is {_shown(self.values[field])}; "
            f"mend it, or remove the {self.kind}"
        )

    @property
    def place(self) -> str:
        """The entry as messages call it: annotation 3 (id 71)."""
        known = self.values.get("id")
        return f"{self.kind} {self.number}" + ("" if known is None else f" (id {_shown(known)})")


def entries(content: dict[str, Any], name: str, kind: str, path: Path) -> Iterator[Entry]:
    """Yield the entries of the list `name` of a JSON object read from `path`.

    Raises UserError where there is no such list, and for an entry that is no object.
    """
    values = content.get(name)
    if not isinstance(values, list):
        raise UserError(f"{path}: '{name}' should be a list, it is {_shown(values)}; copy the file again")
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise UserError(f"{path}: {kind} {number} should be an object, it is {_shown(value)}; remove it")
        yield Entry(path, kind, number, value)


def require_one_line(names: Iterable[str], whose: str) -> None:
    """Raise UserError for a name of a class or group with control characters: it stands in tables and file names."""
    for name in names:
        if CONTROL.search(name):
            shown = ascii(name)[:LONGEST]
            raise UserError(
                f"{whose}: the class or group {shown} holds control characters; write it in one line of text"
            )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number beyond the range of floats
        return False


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = ascii(value) if isinstance(value, str | int | float) else json.dumps(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
