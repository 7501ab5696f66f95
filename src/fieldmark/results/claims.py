"""A paper's claims, decided by intervals of what was measured here."""

from typing import Literal

from fieldmark.evaluation.bootstrap import Interval
from fieldmark.results.schema import Claim, Verdict

NEGLIGIBLE = 0.005  # half a percentage point: a smaller effect counts as none


def claim_difference(
    claim: str,
    paper: str,
    decides: str,
    difference: Interval,
    claimed: Literal["above", "below"] = "above",
    negligible: float = NEGLIGIBLE,
    margin: float = 0.0,
) -> Claim:
    """Decide a claim that a difference is above (or below) zero, by `verdict`.

    With a `margin` the claim is that the difference lies above `-margin` (or below `margin`): not worse by more.
    """
    shifted = difference.minus(-margin if claimed == "above" else margin)
    return Claim(
        claim=claim,
        paper=paper,
        decides=decides,
        value=difference.value,
        low=difference.low,
        high=difference.high,
        seeds=difference.seeds,
        verdict=verdict(shifted, claimed, negligible),
    )


def untestable(claim: str, paper: str, decides: str, reason: str) -> Claim:
    """Return a claim that no measurement at hand can decide, such as one about two variants that are the same.

    `reason` says why; it follows from the parameters, not from what was measured.
    """
    return Claim(claim=claim, paper=paper, decides=decides, verdict="not testable here", reason=reason)


def verdict(
    difference: Interval, claimed: Literal["above", "below"], negligible: float = NEGLIGIBLE
) -> Verdict:
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
