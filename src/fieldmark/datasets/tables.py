"""The blank-separated lists of pictures that published data sets come with."""

import logging
from collections.abc import Sequence
from pathlib import Path

from fieldmark.errors import UserError

log = logging.getLogger(__name__)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file. Raises UserError when it is no text in UTF-8."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8") from None


def read_rows(path: Path, columns: Sequence[str], before: int = 0) -> list[dict[str, str]]:
    """Read the rows under the header `columns`, which `before` lines precede; empty lines are skipped.

    Raises UserError when the header is another, a row has another number of values, or there is no row.
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


def warn_of_other_counts(path: Path, role: str, found: tuple[int, int], official: tuple[int, int]) -> None:
    """Log when a list names another number of (pictures, classes) than the published one does."""
    if found != official:
        log.warning(
            "%s: %d pictures of %d classes for %s, the published list has %d of %d; "
            "results cannot be compared with published ones",
            *(path, *found, role, *official),
        )
