"""What a change does, on one page of Markdown: verdicts first, then headline measures, then parameters."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from fieldmark.reporting.formatting import (
    MISSING,
    claim_value,
    interval_text,
    is_fraction,
    leaves,
    markdown,
    markdown_table,
    number,
    verdict_text,
)
from fieldmark.reporting.revisions import Revision
from fieldmark.reporting.snapshot import Snapshot, read_snapshot
from fieldmark.results.schema import Claim, Measure

DECIMALS = range(1, 7)  # of per cents: results files have six significant digits
K = TypeVar("K")
V = TypeVar("V")


def review(base: Revision, head: Revision) -> str:
    """Return the page that says what differs between two revisions. Raises UserError when one cannot be read."""
    return render_review(read_snapshot(base), read_snapshot(head))


def render_review(old: Snapshot, new: Snapshot) -> str:
    """Return only what differs; a single line when nothing does."""
    span = f"from {markdown(old.title)} to {markdown(new.title)}"
    unread = [_unread(snapshot) for snapshot in (old, new) if snapshot.unread]
    compared = [] if unread else [_claims(old, new), _measures(old, new)]
    parts = [part for part in (*compared, _params(old, new)) if part]
    if not parts and not unread:
        return f"Nothing changed {span}: no verdict, no headline measure, no parameter.\n"
    page = [f"## What changed {span}", *unread, *(parts or ["No parameter changed."])]
    return "\n\n".join(page) + "\n"


def _unread(snapshot: Snapshot) -> str:
    return (
        f"No results in this layout in {markdown(snapshot.title)}: {markdown(snapshot.unread)}. "
        "Claims and headline measures are not compared."
    )


def _claims(old: Snapshot, new: Snapshot) -> str:
    rows = [
        [markdown(key.method), markdown(key.claim), markdown(key.decides), _claim(before), _claim(after)]
        for key, before, after in _pairs(old.claims, new.claims)
        if before is None or after is None or before.verdict != after.verdict
    ]
    return _section("Claims", rows, ["method", "claim", "decided by", "old verdict", "new verdict"])


def _claim(claim: Claim | None) -> str:
    if claim is None:
        return MISSING
    value, interval = claim_value(claim)
    return f"{verdict_text(claim)}: {value or 'not measured'}" + (f" ({interval})" if interval else "")


def _measures(old: Snapshot, new: Snapshot) -> str:
    rows = [
        [markdown(key.source), markdown(key.name), *_values(before, after)]
        for key, before, after in _pairs(old.measures, new.measures)
        if before is None or after is None or before.value != after.value
    ]
    table = _section(
        "Headline measures", rows, ["results", "measure", "old", "new", "difference", "within the interval"]
    )
    return table and (
        f"{table}\n\nWithin the interval: the new value lies in the 95 % interval of the old one, "
        "or the old value in that of the new one."
    )


def _values(old: Measure | None, new: Measure | None) -> list[str]:
    """Return the cells of a changed measure: old, new, difference, whether it is within an interval."""
    if old is None or new is None:
        return [_value(old), _value(new), MISSING, MISSING]
    fraction = is_fraction(old.value) and is_fraction(new.value)
    decimals = next(
        digits for digits in DECIMALS if digits == DECIMALS[-1] or _shows(old, new, fraction, digits)
    )
    difference = number(new.value - old.value, fraction, sign=True, decimals=decimals)
    return [
        _text(old, fraction, decimals),
        _text(new, fraction, decimals),
        f"{difference} points" if fraction else difference,
        within(old, new),
    ]


def _shows(old: Measure, new: Measure, fraction: bool, decimals: int) -> bool:
    """Say whether a change is visible with this many decimals."""
    before, after, difference = (
        number(value, fraction, decimals=decimals) for value in (old.value, new.value, new.value - old.value)
    )
    return before != after and any(digit in difference for digit in "123456789")


def _value(measure: Measure | None) -> str:
    return MISSING if measure is None else _text(measure, is_fraction(measure.value), 1)


def _text(measure: Measure, fraction: bool, decimals: int) -> str:
    text = number(measure.value, fraction, decimals=decimals) + (" %" if fraction else "")
    interval = interval_text(measure, fraction, decimals)
    return f"{text} ({interval})" if interval else text


def within(old: Measure, new: Measure) -> str:
    """Say whether either value lies in the other's interval: "yes", "no", or "no interval"."""
    sides = [
        measure.low <= other.value <= measure.high
        for measure, other in ((old, new), (new, old))
        if measure.low is not None and measure.high is not None
    ]
    if not sides:
        return "no interval"
    return "yes" if any(sides) else "no"


def _params(old: Snapshot, new: Snapshot) -> str:
    texts = [{name: _literal(value) for name, value in leaves(side.params)} for side in (old, new)]
    rows = [
        [markdown(name), markdown(before or MISSING), markdown(after or MISSING)]
        for name, before, after in _pairs(*texts)
        if before != after
    ]
    return _section("Parameters", rows, ["parameter", "old", "new"])


def _literal(value: Any) -> str:
    """Return a parameter as it may stand in params.yaml, on one line: true, null, [1, 2], "text"."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _pairs(old: Mapping[K, V], new: Mapping[K, V]) -> Iterator[tuple[K, V | None, V | None]]:
    """Yield every key with its two values; keys that were removed come last."""
    for key in {**new, **old}:
        yield key, old.get(key), new.get(key)


def _section(title: str, rows: list[list[str]], head: list[str]) -> str:
    return f"### {title}: {len(rows)} changed\n\n{markdown_table(head, rows)}" if rows else ""
