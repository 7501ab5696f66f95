"""Numbers as a reader wants them: fractions in per cent, counts whole, the rest to three digits."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fieldmark.results.schema import Claim, Measure, Verdict

MISSING = "–"
VERDICTS: Mapping[Verdict, tuple[str, str]] = {  # icon, style
    "holds": ("✓", "yes"),
    "does not hold": ("✗", "no"),
    "undecided": ("?", "open"),
    "not testable here": ("∅", "none"),
}


def is_fraction(value: float | None) -> bool:
    """Say whether a number is a fraction (a float from -1 to 1), which is shown in per cent."""
    return isinstance(value, float) and -1 <= value <= 1


def number(value: float | None, fraction: bool = False, sign: bool = False, decimals: int = 1) -> str:
    """Return a number for reading: a `fraction` in per cent (unit left out), integers whole.

    `sign` adds the sign + too. `decimals` counts those of a fraction; other numbers that are not whole have two more
    digits.
    """
    if value is None:
        return MISSING
    plus = "+" if sign else ""
    if fraction:
        text = f"{value * 100:{plus}.{decimals}f}"
    elif float(value).is_integer():
        text = f"{int(value):{plus},}"
    else:
        text = f"{value:{plus}.{decimals + 2}g}" if abs(value) < 1000 else f"{value:{plus},.{decimals - 1}f}"
    return text.replace("-", "−").replace(",", "\u202f")


def interval_text(measure: Measure, fraction: bool, decimals: int = 1) -> str:
    """Return 'low – high' of a measure, empty without an interval."""
    if measure.low is None or measure.high is None:
        return ""
    return f"{number(measure.low, fraction, decimals=decimals)} – {number(measure.high, fraction, decimals=decimals)}"


def claim_value(claim: Claim) -> tuple[str, str]:
    """Return the decided difference with its sign and unit, and its interval (either may be empty)."""
    if claim.value is None:
        return "", ""
    fraction = _is_fraction_claim(claim)
    value = number(claim.value, fraction, sign=True) + (" points" if fraction else "")
    if claim.low is None or claim.high is None:
        return value, ""
    return value, f"{number(claim.low, fraction, sign=True)} to {number(claim.high, fraction, sign=True)}"


def claim_seeds(claim: Claim) -> str:
    """Return the difference of each training seed; empty for a single seed."""
    fraction = _is_fraction_claim(claim)
    return ", ".join(number(value, fraction, sign=True) for value in claim.seeds)


def _is_fraction_claim(claim: Claim) -> bool:
    # A difference of 1 component must not read as 100 points: its interval reaches beyond -1 to 1, unlike a fraction's.
    return all(is_fraction(side) for side in (claim.value, claim.low, claim.high) if side is not None)


def evidence(claim: Claim) -> str:
    """Say what a verdict rests on; empty for a claim that nothing measured decides."""
    if claim.verdict == "not testable here":
        return ""
    return f"over {len(claim.seeds)} seeds" if claim.seeds else "in this run"


def verdict_text(claim: Claim) -> str:
    """Return the verdict of a claim with its icon and what it rests on."""
    return f"{VERDICTS[claim.verdict][0]} {claim.verdict} {evidence(claim)}".rstrip()


def count(value: float | str) -> str:
    """Return a count of a result, or the words in its place, as short text."""
    return number(value) if isinstance(value, float) else plain(value)


def plain(value: Any) -> str:
    """Return a value of a parameter or a summary as short text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)


def words(name: str) -> str:
    """Return a key such as `mean_side` as words."""
    return name.replace("_", " ")


def leaves(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a nest of mappings as (dotted name, value) pairs in the order given; an empty mapping is a value."""
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def markdown(text: str) -> str:
    """Escape text for a cell of a GitHub table: no markup, no mentions, no line breaks."""
    text = re.sub(r"\s+", " ", text).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)
    return re.sub(r"(?<!\w)@", "&#64;", re.sub(r"(?<![\w&])#", "&#35;", text))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a GitHub table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
