"""Head, medium and tail: every class in exactly one, boundaries as published, limits that contradict each other."""

import numpy as np
import pytest

from fieldmark.longtail.frequency import frequency_masks


def names(counts: object, **limits: int) -> list[str]:
    """Return the one group of each class."""
    groups = frequency_masks(counts, **limits)
    assert np.array_equal(sum(mask.astype(int) for mask in groups.values()), np.ones(len(groups["head"])))
    return [
        next(name for name, mask in groups.items() if mask[index]) for index in range(len(groups["head"]))
    ]


def test_groups_take_the_boundaries_as_published():
    assert names([100, 99, 20, 19, 0]) == ["head", "medium", "medium", "tail", "tail"]
    assert list(frequency_masks([1])) == ["head", "medium", "tail"]  # the order in which they are reported


def test_the_boundaries_can_be_others():
    assert names(np.array([9, 3, 1]), head=9, tail=2) == ["head", "medium", "tail"]
    assert names([5, 4], head=5, tail=5) == ["head", "tail"]


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"tail \(6\) must not exceed head \(5\)"):
        frequency_masks([1], head=5, tail=6)
