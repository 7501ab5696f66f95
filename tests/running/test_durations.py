"""The table that ends a run."""

from fieldmark.base.durations import Duration
from fieldmark.running.durations import duration_table


def test_a_line_per_stage_the_rest_and_the_total() -> None:
    table = duration_table([Duration("check", 2.0, True), Duration("train@irt", 70.0, True)], 80.0)
    assert table.splitlines() == [
        "stage       seconds  share",
        "check           2.0     2%",
        "train@irt      70.0    88%",
        "dvc             8.0    10%",
        "total          80.0   100%",
    ]


def test_a_stage_that_failed_says_so() -> None:
    table = duration_table([Duration("train@irt", 3.0, False)], 4.0)
    assert "train@irt (not done)" in table
    assert {len(line) for line in table.splitlines()} == {37}  # columns stay aligned


def test_nothing_when_nothing_ran() -> None:
    assert duration_table([], 1.5) == ""


def test_no_share_is_negative_or_undefined() -> None:
    """Stages of `devices` processes or a clock that jumps may add up to more than the total."""
    table = duration_table([Duration("train@irt", 5.0, True)], 4.0)
    assert "dvc             0.0     0%" in table
    assert "0%" in duration_table([Duration("check", 0.0, True)], 0.0)


def test_stages_side_by_side_have_shares_of_their_sum() -> None:
    """They add up to more than the run took; what DVC took can then not be told."""
    durations = [Duration("train@irt", 60.0, True), Duration("train@loca", 20.0, True)]
    assert duration_table(durations, 65.0, side_by_side=True).splitlines() == [
        "stage        seconds  share",
        "train@irt       60.0    75%",
        "train@loca      20.0    25%",
        "sum             80.0   100%",
        "total           65.0  side by side",
    ]
