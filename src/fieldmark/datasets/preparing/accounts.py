"""What goes in is accounted for: which files were used, which were left out, and why."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldmark.datasets.acquire.listing import few
from fieldmark.datasets.acquire.records import LeftOut

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """How many files of one class were left out for one reason, and how many of them have which ending."""

    reason: str
    class_name: str | None
    files: int
    endings: Counter[str]

    def as_json(self) -> dict[str, Any]:
        """Return what `summary.json` keeps of it."""
        ordered = dict(sorted(self.endings.items()))
        return {"reason": self.reason, "class": self.class_name, "files": self.files, "endings": ordered}

    def sentence(self) -> str:
        """Return it as a clause: 3 x no picture by its ending (2 .heic, 1 .mov)."""
        endings = ", ".join(f"{count} {ending}" for ending, count in sorted(self.endings.items()) if ending)
        return f"{self.files} x {self.reason}" + (f" ({endings})" if endings else "")


def accounts_of(left_out: Iterable[LeftOut]) -> list[Account]:
    """Count what was left out by reason and class, the most files first."""
    groups: dict[tuple[str, str | None], list[LeftOut]] = {}
    for one in left_out:
        groups.setdefault((one.reason, one.class_name), []).append(one)
    accounts = [
        Account(reason, name, len(those), Counter(one.ending for one in those if one.ending))
        for (reason, name), those in groups.items()
    ]
    return sorted(accounts, key=lambda one: (-one.files, one.reason, one.class_name or ""))


def lost_classes(accounts: Sequence[Account], kept: Iterable[str]) -> list[str]:
    """Return the classes of which no picture is left, sorted; `kept` are those that have one."""
    return sorted({one.class_name for one in accounts if one.class_name is not None} - set(kept))


def say(used: int, accounts: Sequence[Account], lost: Sequence[str]) -> None:
    """Log one line with the files seen, used and left out, and one for each class of which nothing is left."""
    total = sum(one.files for one in accounts)
    reasons: Counter[str] = Counter()
    for one in accounts:
        reasons[one.reason] += one.files
    why = few([f"{count} x {reason}" for reason, count in reasons.most_common()])
    log.info("%d files seen, %d used, %d left out%s", used + total, used, total, f": {why}" if why else "")
    for name in lost:
        of_class = "; ".join(one.sentence() for one in accounts if one.class_name == name)
        log.warning("no picture is left of the class %s: %s", name, of_class)
