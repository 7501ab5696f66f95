"""Numbers as a reader wants them."""

import pytest

from fieldmark.reporting.formatting import claim_value, interval_text, leaves, number
from fieldmark.results.schema import Claim, Measure


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (None, {}, "–"),
        (0.36149, {"fraction": True}, "36.1"),
        (0.36149, {"fraction": True, "decimals": 3}, "36.149"),
        (-0.02, {"fraction": True, "sign": True}, "−2.0"),
        (1200, {}, "1\u202f200"),
        (12.0, {"sign": True}, "+12"),
        (14.256, {}, "14.3"),
        (14.256, {"decimals": 2}, "14.26"),
        (1234.56, {}, "1\u202f235"),
        (1234.56, {"decimals": 2}, "1\u202f234.6"),
    ],
)
def test_numbers(value, options, expected):
    assert number(value, **options) == expected


def test_an_interval_has_the_decimals_of_its_value():
    measure = Measure(value=0.5, low=0.41234, high=0.6)
    assert interval_text(measure, fraction=True, decimals=2) == "41.23 – 60.00"
    assert interval_text(Measure(value=0.5, low=0.4), fraction=True) == ""


def claim(value, low, high):
    return Claim(claim="c", paper="p", decides="d", value=value, low=low, high=high, verdict="holds")


def test_a_difference_of_fractions_is_in_points():
    assert claim_value(claim(0.02, -0.01, 0.05)) == ("+2.0 points", "−1.0 to +5.0")


def test_a_difference_of_counts_is_not_though_it_is_small():
    assert claim_value(claim(1.0, -0.8, 3.5)) == ("+1", "−0.8 to +3.5")
    assert claim_value(claim(0.0, -2.0, 0.5)) == ("+0", "−2 to +0.5")


def test_leaves_are_named_with_dots_and_an_empty_mapping_is_one():
    nest = {"b": {"x": [1, {"k": 2}], "none": {}}, "a": None}
    assert list(leaves(nest)) == [("b.x", [1, {"k": 2}]), ("b.none", {}), ("a", None)]
