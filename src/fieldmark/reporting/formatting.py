"""Numbers as a reader wants them: shares in per cent, counts whole, the rest to three digits."""

import re
from typing import Any

from fieldmark.results.schema import Claim, Measure

MISSING = "–"


def is_share(value: float | None) -> bool:
    """Say whether a number is a share (a float from -1 to 1), which is shown in per cent."""
    return isinstance(value, float) and -1 <= value <= 1


def number(value: float | None, share: bool = False, sign: bool = False) -> str:
    """Return a number for reading: `share` in per cent (unit left out), integers whole; `sign` forces +."""
    if value is None:
        return MISSING
    plus = "+" if sign else ""
    if share:
        text = f"{value * 100:{plus}.1f}"
    elif float(value).is_integer():
        text = f"{int(value):{plus},}"
    else:
        text = f"{value:{plus}.3g}" if abs(value) < 1000 else f"{value:{plus},.0f}"
    return text.replace("-", "−").replace(",", "\u202f")


def interval_text(measure: Measure, share: bool) -> str:
    """Return 'low – high' of a measure, empty without an interval."""
    if measure.low is None or measure.high is None:
        return ""
    return f"{number(measure.low, share)} – {number(measure.high, share)}"


def claim_value(claim: Claim) -> tuple[str, str]:
    """Return the decided difference with its sign and unit, and its interval (either may be empty)."""
    if claim.value is None:
        return "", ""
    share = is_share(claim.value)
    value = number(claim.value, share, sign=True) + (" points" if share else "")
    if claim.low is None or claim.high is None:
        return value, ""
    return value, f"{number(claim.low, share, sign=True)} to {number(claim.high, share, sign=True)}"


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


def flattened(mapping: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return a nest of mappings as (dotted name, text) pairs in the order given."""
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        if isinstance(value, dict):
            rows += flattened(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", plain(value)))
    return rows


def markdown(text: str) -> str:
    """Escape text for a cell of a GitHub table: no markup, no mentions, no line breaks."""
    text = re.sub(r"\s+", " ", text).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", text)
    return re.sub(r"(?<!\w)@", "&#64;", re.sub(r"(?<![\w&])#", "&#35;", text))
