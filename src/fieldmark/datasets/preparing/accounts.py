"""What goes in is accounted for: which files were used, which were left out, and why."""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fieldmark.datasets.acquire.listing import few
from fieldmark.datasets.acquire.records import LeftOut

PLURAL = {"annotation": "annotations", "caption": "captions", "class": "classes"}
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """How many files (or what else, by `kind`) of one class were left out for one reason.

    `endings` says how many files have which ending.
    """

    kind: str
    reason: str
    class_name: str | None
    count: int
    endings: Counter[str]

    def as_json(self) -> dict[str, Any]:
        """Return what `summary.json` keeps of it."""
        counted = {"files": self.count, "endings": dict(sorted(self.endings.items()))}
        kept = counted if self.kind == "file" else {PLURAL[self.kind]: self.count}
        return {"reason": self.reason, "class": self.class_name, **kept}


def accounts_of(left_out: Iterable[LeftOut]) -> list[Account]:
    """Count what was left out by reason and class, the most files first."""
    groups: dict[tuple[str, str, str | None], list[LeftOut]] = {}
    for one in left_out:
        groups.setdefault((one.kind, one.reason, one.class_name), []).append(one)
    accounts = [
        Account(*key, len(those), Counter(one.ending for one in those if one.ending))
        for key, those in groups.items()
    ]
    return sorted(
        accounts, key=lambda one: (one.kind != "file", -one.count, one.reason, one.class_name or "")
    )


def lost_classes(left_out: Iterable[LeftOut], kept: Iterable[str]) -> dict[str, str]:
    """Return the classes of which no picture is left, sorted, each with the reasons; `kept` are those that have one."""
    here = set(kept)
    lost: dict[str, list[LeftOut]] = {}
    for one in left_out:
        for name in {*one.class_names} - here:
            lost.setdefault(name, []).append(one)
    return {
        name: _reasons([one for one in lost[name] if one.kind != "class"] or lost[name])
        for name in sorted(lost)
    }


def alike(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that differ in case, blanks, hyphens, underscores or Unicode form only."""
    groups: dict[str, set[str]] = {}
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold()
        groups.setdefault(" ".join(re.sub(r"[\s_-]", " ", plain).split()), set()).add(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def say(used: int, accounts: Sequence[Account], lost: Mapping[str, str]) -> None:
    """Log one line with the files seen, used and left out, and one for the classes that are lost for one reason."""
    files = [one for one in accounts if one.kind == "file"]
    total = sum(one.count for one in files)
    reasons: Counter[str] = Counter()
    for one in files:
        reasons[one.reason] += one.count
    why = few([f"{count} x {reason}" for reason, count in reasons.most_common()])
    others: Counter[tuple[str, str]] = Counter()
    for one in accounts:
        if one.kind not in ("file", "class"):
            others[one.kind, one.reason] += one.count
    more = "".join(f"; {count} {kind}s left out: {reason}" for (kind, reason), count in others.items())
    seen = used + total, used, total
    log.info("%d files seen, %d used, %d left out%s%s", *seen, f": {why}" if why else "", more)
    by_reason: dict[str, list[str]] = {}
    for name, reason in lost.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        which = f"the class {names[0]}" if len(names) == 1 else f"{len(names)} classes ({few(names)})"
        log.warning("no picture is left of %s: %s", which, reason)


def _reasons(left_out: Sequence[LeftOut]) -> str:
    """Return why they were left out: 3 x no picture by its ending (2 .heic, 1 .mov); 1 x the file is empty."""
    clauses = []
    for reason, count in Counter(one.reason for one in left_out).items():
        found = Counter(one.ending for one in left_out if one.reason == reason and one.ending)
        endings = ", ".join(f"{number} {ending}" for ending, number in sorted(found.items()))
        clauses.append(f"{count} x {reason}" + (f" ({endings})" if endings else ""))
    return "; ".join(clauses)
