"""A paper's claims, decided by intervals of what was measured here."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fieldmark.evaluation.bootstrap import Interval

Verdict = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Claim:
    """One row of the claims table.

    `claim` is what the paper says, `paper` the numbers it reports, `decides` what decides it here;
    `value`, `low` and `high` are the measured quantity with its 95 % interval.
    """

    claim: str
    paper: str
    decides: str
    value: float
    low: float
    high: float
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Return the claim as written to a metrics file."""
        return asdict(self)


def claim_difference(
    claim: str,
    paper: str,
    decides: str,
    difference: Interval,
    claimed: Literal["above", "below"] = "above",
    negligible: float = 0.005,
) -> Claim:
    """Decide a claim that a difference is above (or below) zero, by `verdict`."""
    sides = difference.value, difference.low, difference.high
    return Claim(claim, paper, decides, *sides, verdict(difference, claimed, negligible))


def verdict(difference: Interval, claimed: Literal["above", "below"], negligible: float = 0.005) -> Verdict:
    """Say whether a difference lies on the claimed side of zero.

    It holds when the whole interval lies on the claimed side, whatever the size. It does not hold when the
    interval rules out a claimed effect of `negligible` or more (in the difference's unit): on the other side,
    or at zero for all practical purposes. Otherwise the data leave it undecided.
    """
    if not difference.low <= difference.high:
        raise ValueError(f"an interval runs from low to high: {difference}")
    low, high = difference.low, difference.high
    if claimed == "below":
        low, high = -high, -low
    if low > 0:
        return "holds"
    return "does not hold" if high < negligible else "undecided"
