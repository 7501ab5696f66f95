"""Who is the sooner as good as fine-tuning at its end: the moment by hand, its interval, what cannot be known."""

import numpy as np
import pytest

from fieldmark.methods.frpt.evaluation.convergence import first_reached, lead
from fieldmark.methods.frpt.evaluation.progress import Progress
from fieldmark.results.claims import verdict

STEPS = (25, 50, 75, 100)
PARTS = np.array(STEPS) / 100
CLASSES, EACH = 20, 10


def slow(curve: list[float], target: float) -> float:
    """Walk along the curve in small steps."""
    along = np.linspace(0.25, 1.0, 75_001)
    there = np.flatnonzero(np.interp(along, PARTS, curve) >= target - 1e-12)
    return float(along[there[0]]) if there.size else 1.0


def test_the_moment_equals_a_walk_along_the_curve() -> None:
    rng = np.random.default_rng(0)
    curves, targets = rng.uniform(size=(40, 4)), rng.uniform(size=40)
    found = first_reached(PARTS, curves, targets)
    expected = [slow(curve, target) for curve, target in zip(curves.tolist(), targets, strict=True)]
    assert found.latest == pytest.approx(expected, abs=2e-5)
    at_once = curves[:, 0] >= targets
    assert 0 < at_once.sum() < len(targets)
    assert (found.earliest[at_once] == 0).all()
    assert np.array_equal(found.earliest[~at_once], found.latest[~at_once])


@pytest.mark.parametrize(
    ("curve", "target", "earliest", "latest"),
    [
        ([0.1, 0.2, 0.4, 0.4], 0.3, 0.625, 0.625),
        ([0.1, 0.5, 0.2, 0.4], 0.5, 0.5, 0.5),  # reached and lost again
        ([0.1, 0.2, 0.3, 0.4], 0.4, 1.0, 1.0),
        ([0.1, 0.2, 0.3, 0.4], 0.5, 1.0, 1.0),  # never
        ([0.5, 0.5, 0.5, 0.5], 0.5, 0.0, 0.25),  # before the first state, who knows when
    ],
)
def test_moments_by_hand(curve: list[float], target: float, earliest: float, latest: float) -> None:
    found = first_reached(PARTS, np.array(curve), np.array(target))
    assert (float(found.earliest), float(found.latest)) == pytest.approx((earliest, latest))


def progress(*curves: list[float], spread: float = 0.0) -> Progress:
    """Classes whose recall follows a curve, up to a constant of the class; one curve per seed."""
    rng = np.random.default_rng(1)
    shift = np.repeat(rng.normal(0, spread, CLASSES), EACH)
    recall = np.array(curves)[..., None] + shift - shift.mean()
    return Progress(STEPS, recall, np.repeat(np.arange(CLASSES), EACH))


def test_who_is_sooner_holds_whatever_classes_there_are() -> None:
    """What all classes share is no difference between two trainings: the interval has no width here."""
    fast, slow_one = progress([0.1, 0.4, 0.5, 0.6], spread=0.2), progress([0.0, 0.1, 0.2, 0.4], spread=0.2)
    found = lead(fast, slow_one)
    assert (found.ours, found.theirs) == pytest.approx((0.5, 1.0))
    assert (found.lead.value, found.lead.low, found.lead.high) == pytest.approx((0.5, 0.5, 0.5))
    assert verdict(found.lead, "above") == "holds"
    other = lead(slow_one, fast)
    assert other.lead.value == pytest.approx(0.0)  # it never gets there, and the fast one does at its end
    assert verdict(other.lead, "above") == "does not hold"


def test_what_happens_before_the_first_state_leaves_it_undecided() -> None:
    flat = progress([0.5] * 4)
    found = lead(flat, flat).lead
    assert (found.value, found.low, found.high) == pytest.approx((0.0, -0.25, 0.25))
    assert verdict(found, "above") == "undecided"


def test_classes_that_disagree_and_seeds_that_disagree_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    steady, clusters = progress([0.1, 0.2, 0.3, 0.4]), np.repeat(np.arange(CLASSES), EACH)
    sooner = progress([0.1, 0.2, 0.35, 0.45]).recall
    noisy = sooner + np.repeat(rng.normal(0, 0.05, (1, 4, CLASSES)), EACH, axis=2)
    one = lead(Progress(STEPS, noisy, clusters), steady).lead
    assert one.low < one.value < one.high
    assert one.seeds == ()
    same, differing = (
        lead(progress(*curves), progress(*[[0.1, 0.2, 0.3, 0.4]] * 3)).lead
        for curves in (
            [[0.1, 0.3, 0.4, 0.4]] * 3,
            [[0.1, 0.4, 0.4, 0.4], [0.1, 0.3, 0.4, 0.4], [0, 0, 0, 0.3]],
        )
    )
    assert same.seeds == pytest.approx((0.25, 0.25, 0.25))
    assert differing.seeds == pytest.approx((0.5, 0.25, 0.0))
    assert differing.high - differing.low > same.high - same.low
