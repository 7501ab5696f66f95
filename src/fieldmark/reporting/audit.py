"""What the report says of equal and similar pictures, odd sizes and uneven classes of a data set."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from fieldmark.reporting.formatting import plain
from fieldmark.results.files import validated


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Pairs(_Part):
    pairs: int
    pictures: int
    conflicts: int
    across: dict[str, int]


class _Odd(_Part):
    pictures: int
    ids: list[str]


class _Sizes(_Part):
    shorter_side: tuple[int, int, int]  # least, median, most
    longer_side: tuple[int, int, int]
    aspect: float
    tiny: _Odd
    elongated: _Odd


class _Classes(_Part):
    least: tuple[str, int]
    most: tuple[str, int]
    single: int


class Audit(_Part):
    """`reports/results/audit/<data set>.json`."""

    compared: int
    equal: _Pairs
    alike: _Pairs
    sizes: _Sizes
    classes: _Classes | None = None


def audit_rows(facts: Any, where: str = "reports/results/audit") -> list[tuple[str, str]]:
    """Return rows of text; none without an audit. Raises UserError for one that is malformed."""
    if not facts:
        return []
    audit = validated(Audit, facts, where)
    of = f" among {plain(audit.compared)} that were compared"
    rows = [
        ("equal pictures found", _pairs(audit.equal)),
        ("pictures that look alike", _pairs(audit.alike) + of),
    ]
    rows += _sizes(audit.sizes)
    if audit.classes:
        (least, fewest), (most, largest) = audit.classes.least, audit.classes.most
        single = f"; {plain(audit.classes.single)} with a single picture" if audit.classes.single else ""
        text = f"{plain(fewest)} pictures ({least}) to {plain(largest)} ({most}){single}"
        rows.append(("smallest and largest class", text))
    return rows


def _pairs(found: _Pairs) -> str:
    if not found.pictures:
        return "none"
    text = [plain(found.pictures)]
    if found.conflicts:
        text.append(f"{plain(found.conflicts)} of them with several classes")
    text += [f"{plain(count)} with several roles in {name}" for name, count in sorted(found.across.items())]
    return ", ".join(text)


def _sizes(sizes: _Sizes) -> list[tuple[str, str]]:
    (least, middle, most), (low, half, high) = sizes.shorter_side, sizes.longer_side
    if (least, low) == (most, high):
        return [("size of the originals", f"{least} x {low} pixels")]
    text = f"{least} to {most} x {low} to {high} pixels (median {middle} x {half}), aspect up to {sizes.aspect:.3g}"
    rows = [("size of the originals", text)]
    for title, odd in (("tiny originals", sizes.tiny), ("long originals", sizes.elongated)):
        if odd.pictures:
            dots = ", ..." if odd.pictures > len(odd.ids) else ""
            rows.append((title, f"{plain(odd.pictures)}: {', '.join(odd.ids)}{dots}"))
    return rows
