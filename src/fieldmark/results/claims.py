"""A paper's claims, decided by intervals of what was measured here."""

from collections.abc import Sequence
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
    """Decide a claim that a difference is above (or below) zero, by `verdict`, as if it were the only one.

    With a `margin` the claim is that the difference lies above `-margin` (or below `margin`): not worse by more.
    """
    shifted = difference.minus(-margin if claimed == "above" else margin)
    found = verdict(shifted, claimed, negligible)
    wider = [
        Interval(shifted.value, low, high) for low, high in zip(shifted.lows, shifted.highs, strict=True)
    ] or [shifted]
    among = next((m for m, one in enumerate(wider) if verdict(one, claimed, negligible) != found), len(wider))
    return Claim(
        claim=claim,
        paper=paper,
        decides=decides,
        value=difference.value,
        low=difference.low,
        high=difference.high,
        seeds=difference.seeds,
        verdict=found,
        among=0 if found == "undecided" else among,
    )


def jointly(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Return the claims of one paper with verdicts that are right together: in 95 % of all runs none is wrong.

    Each interval of its own misses once in twenty times, so that of thirty verdicts one or two would be luck. By Holm's
    procedure (S. Holm, Scandinavian Journal of Statistics 6, 1979) the surest of M claims must be decided by the
    interval that misses with 5 % / M, the next one by 5 % / (M - 1), and so on; from the first that is not, all are
    undecided. Claims that nothing here can decide do not count.
    """
    testable = [place for place, claim in enumerate(claims) if claim.verdict != "not testable here"]
    surest = sorted(testable, key=lambda place: -claims[place].among)
    kept = next((n for n, place in enumerate(surest) if claims[place].among < len(surest) - n), len(surest))
    undecided = set(surest[kept:])
    return tuple(
        claim.model_copy(update={"verdict": "undecided"}) if place in undecided else claim
        for place, claim in enumerate(claims)
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
