"""The blank-separated lists of pictures that published data sets come with."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.records import Record

Box = tuple[float, float, float, float]
LONGEST = 60  # characters of a value in a message
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Table:
    """The value that a file gives for every id; a message shows an id in the form `shown`."""

    path: Path
    values: Mapping[str, str]
    shown: str = "'{}'"

    def look_up(self, key: str) -> str:
        """Return the value of an id. Raises UserError when the file has none."""
        if key not in self.values:
            raise UserError(f"{self.path} has no line for {self.shown.format(key[:LONGEST])}")
        return self.values[key]


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, with or without a byte-order mark.

    Raises UserError when it is absent or not text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; the layout is not complete") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8; save it in UTF-8, or copy it again") from None


def read_rows(path: Path, columns: Sequence[str], before: int = 0) -> list[dict[str, str]]:
    """Read the rows below the header `columns`; there are `before` lines above it. Empty lines are skipped.

    Raises UserError when the header is a different one, when a row has another number of values than the header,
    and when there is no row.
    """
    lines = read_lines(path)[before:]
    if not lines or lines[0].split() != list(columns):
        raise UserError(f"{path}: line {before + 1} should be '{' '.join(columns)}'")
    rows = []
    for number, line in enumerate(lines[1:], start=before + 2):
        values = line.split()
        if values and len(values) != len(columns):
            raise UserError(f"{path}: line {number} should have {len(columns)} values, it is '{line[:60]}'")
        if values:
            rows.append(dict(zip(columns, values, strict=True)))
    if not rows:
        raise UserError(f"{path} names no picture")
    return rows


def read_table(path: Path, key: str = "image id", shown: str = "'{}'") -> Table:
    """Read lines of `<key> <value, perhaps with blanks>`; empty lines are skipped.

    Raises UserError for a line of another form or a key that comes twice.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        name, _, value = line.strip().partition(" ")
        if not value or name in values:
            raise UserError(
                f"{path}: line {number} should be '<{key}> <value>' with a new id, it is '{line[:60]}'"
            )
        values[name] = value.strip()
    return Table(path, values, shown)


def read_box(text: str, whose: str, path: Path) -> Box:
    """Return the four numbers of the box of `whose`. Raises UserError when `text` is anything else."""
    try:
        first, second, third, fourth = (float(part) for part in text.split())
        if not all(map(math.isfinite, (first, second, third, fourth))):
            raise ValueError
    except ValueError:
        shown = text[:LONGEST]
        raise UserError(f"{path}: the box of {whose} should be four numbers, it is '{shown}'") from None
    return first, second, third, fourth


def from_corners(left: float, top: float, right: float, bottom: float) -> Box:
    """Return x, y, width, height of a box given as its first and last pixels, counted from 1."""
    return left - 1.0, top - 1.0, right - left + 1.0, bottom - top + 1.0


def warn_of_other_splits(
    path: Path, records: Sequence[Record], official: Mapping[str, tuple[int, int]]
) -> None:
    """Log every role where the records have other counts than `official`: (pictures, classes) by role."""
    for role, counts in official.items():
        names = [record.class_name for record in records if record.split == role]
        warn_of_other_counts(path, role, (len(names), len(set(names))), counts)


def warn_of_other_counts(path: Path, role: str, actual: tuple[int, int], official: tuple[int, int]) -> None:
    """Log when a list names another number of (pictures, classes) than the published one does."""
    if actual != official:
        log.warning(
            "%s: %d pictures of %d classes for %s, the published list has %d of %d; "
            "results cannot be compared with published ones",
            *(path, *actual, role, *official),
        )
