"""Verdicts follow from intervals alone."""

from statistics import NormalDist

import numpy as np
import pytest
from pydantic import ValidationError

from fieldmark.evaluation.bootstrap import Interval
from fieldmark.results.claims import claim_difference, jointly, untestable, verdict
from fieldmark.results.schema import Claim


@pytest.mark.parametrize(
    ("low", "high", "claimed", "expected"),
    [
        (0.01, 0.05, "above", "holds"),
        (0.0001, 0.05, "above", "holds"),
        (0.0, 0.05, "above", "undecided"),
        (-0.01, 0.05, "above", "undecided"),
        (-0.05, 0.0049, "above", "does not hold"),
        (-0.05, -0.01, "above", "does not hold"),
        (0.0, 0.0, "above", "does not hold"),
        (-0.001, 0.001, "above", "does not hold"),
        (-0.05, -0.01, "below", "holds"),
        (-0.05, 0.01, "below", "undecided"),
        (-0.004, 0.05, "below", "does not hold"),
        (0.01, 0.05, "below", "does not hold"),
    ],
)
def test_verdict(low, high, claimed, expected):
    assert verdict(Interval((low + high) / 2, low, high), claimed) == expected


def test_what_is_negligible_depends_on_the_unit():
    components = Interval(0, -2.0, 0.8)
    assert verdict(components, "above") == "undecided"
    assert verdict(components, "above", negligible=1) == "does not hold"


def test_reversed_interval_is_refused():
    with pytest.raises(ValueError, match="from low to high"):
        verdict(Interval(0.0, 0.1, -0.1), "above")


@pytest.mark.parametrize(
    ("low", "high", "claimed", "expected"),
    [
        (-0.019, 0.05, "above", "holds"),
        (-0.03, 0.05, "above", "undecided"),
        (-0.06, -0.03, "above", "does not hold"),
        (-0.05, 0.019, "below", "holds"),
        (-0.05, 0.03, "below", "undecided"),
        (0.03, 0.06, "below", "does not hold"),
    ],
)
def test_a_margin_lets_a_difference_reach_to_the_other_side(low, high, claimed, expected):
    difference = Interval((low + high) / 2, low, high)
    claim = claim_difference("nearly as good", "p", "d", difference, claimed, margin=0.02)
    assert claim.verdict == expected
    assert (claim.value, claim.low, claim.high) == (difference.value, low, high)


def test_a_claim_keeps_the_difference_of_each_seed():
    several = claim_difference("c", "p", "d", Interval(0.02, 0.01, 0.03, (0.015, 0.025)), margin=0.1)
    assert several.seeds == (0.015, 0.025)
    assert several.model_dump()["seeds"] == (0.015, 0.025)


def test_what_cannot_be_tested_has_a_reason_and_no_number():
    claim = untestable("R beats R", "none", "recall@1", "Both are one model.")
    assert claim.model_dump(exclude_none=True) == {
        "claim": "R beats R",
        "paper": "none",
        "decides": "recall@1",
        "verdict": "not testable here",
        "reason": "Both are one model.",
    }
    for wrong in ({"verdict": "holds"}, {"reason": ""}):
        with pytest.raises(ValidationError, match="a reason belongs to a claim"):
            Claim(**{**claim.model_dump(), **wrong})


def test_claim_has_the_form_of_a_results_file():
    claim = claim_difference("R beats L", "74.2 to 74.7", "recall@1", Interval(0.02, 0.01, 0.03))
    assert claim.model_dump() == {
        "claim": "R beats L",
        "paper": "74.2 to 74.7",
        "decides": "recall@1",
        "value": 0.02,
        "low": 0.01,
        "high": 0.03,
        "verdict": "holds",
        "among": 1,
    }


def normal(value):
    """The intervals of a value with standard error 1, for 1 to 40 decisions at once."""
    half = [NormalDist().inv_cdf(1 - 0.025 / m) for m in range(1, 41)]
    lows, highs = tuple(value - one for one in half), tuple(value + one for one in half)
    return Interval(value, lows[0], highs[0], (), lows, highs)


def by_p_values(values):
    """Holm's procedure as he wrote it: from the smallest p-value on, until one is above its share of 5 %."""
    chances = sorted((2 * (1 - NormalDist().cdf(abs(value))), place) for place, value in enumerate(values))
    decided = set()
    for done, (chance, place) in enumerate(chances):
        if chance > 0.05 / (len(values) - done):
            break
        decided.add(place)
    return decided


@pytest.mark.parametrize("seed", range(40))
def test_verdicts_of_several_claims_are_those_of_holm(seed):
    values = np.random.default_rng(seed).normal(1.5, 1.5, size=seed % 9 + 1).tolist()
    claims = [claim_difference("c", "p", "d", normal(value), negligible=0.0) for value in values]
    verdicts = [claim.verdict for claim in jointly(claims)]
    decided = by_p_values(values)
    expected = ["holds" if value > 0 else "does not hold" for value in values]
    assert verdicts == [found if place in decided else "undecided" for place, found in enumerate(expected)]


def test_of_one_claim_alone_the_verdict_is_that_of_its_interval():
    sure, near, open_ = (claim_difference("c", "p", "d", normal(value)) for value in (9.0, 2.1, 0.5))
    assert [claim.verdict for claim in jointly([near])] == ["holds"]
    assert [claim.verdict for claim in jointly([sure, near])] == ["holds", "holds"]
    assert [claim.verdict for claim in jointly([near, near])] == ["undecided", "undecided"]
    assert (sure.among, near.among, open_.among) == (40, 1, 0)
    assert jointly([]) == ()


def test_what_cannot_be_tested_does_not_count_and_stays():
    near, never = (
        claim_difference("c", "p", "d", normal(2.1)),
        untestable("R beats R", "none", "d", "One model."),
    )
    assert jointly([never, near, never]) == (never, near, never)


def test_a_margin_shifts_the_wider_intervals_too():
    assert claim_difference("c", "p", "d", normal(2.1), margin=10.0).among == 40
    assert claim_difference("c", "p", "d", normal(-2.1), "below", margin=-0.1).among == 1
