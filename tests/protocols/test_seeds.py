"""Means over seeds, and what is said of them."""

from fieldmark.protocols.seeds import first_of, mean_over, resampling, seed_count
from fieldmark.results.schema import Measure


def test_a_single_value_stays_as_it_is() -> None:
    assert mean_over([7]) == 7
    assert isinstance(mean_over([7]), int)
    assert mean_over([1.0, 2.0, 6.0]) == Measure(value=3.0, seeds=(1.0, 2.0, 6.0))


def test_what_is_made_once_counts_for_all_seeds() -> None:
    scored = {"frozen": ["a"], "trained": ["b", "c"]}
    assert first_of(scored) == {"frozen": "a", "trained": "b"}
    assert seed_count(scored) == 2


def test_notes_say_whether_other_seeds_are_covered() -> None:
    assert resampling("classes", 1) == "Intervals resample classes and tell nothing of other training seeds."
    assert "over 5 training seeds" in resampling("classes", 5)
