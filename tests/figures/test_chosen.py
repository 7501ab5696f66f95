"""The rule that chooses what a figure shows."""

import pytest

from fieldmark.figures.chosen import evenly


@pytest.mark.parametrize(
    ("available", "wanted", "expected"),
    [
        (6, 3, [1, 3, 5]),
        (7, 3, [1, 3, 5]),
        (10, 2, [2, 7]),
        (100, 1, [50]),
        (3, 5, [0, 1, 2]),
        (0, 4, []),
        (4, 0, []),
    ],
)
def test_the_middle_of_each_equal_part_is_taken(available: int, wanted: int, expected: list[int]) -> None:
    assert evenly(available, wanted) == expected


def test_every_index_is_there_and_comes_once() -> None:
    for available in range(1, 60):
        for wanted in range(1, 20):
            chosen = evenly(available, wanted)
            assert len(set(chosen)) == len(chosen) == min(wanted, available)
            assert chosen == sorted(chosen)
            assert chosen[0] >= 0
            assert chosen[-1] < available
