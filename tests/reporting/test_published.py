"""A paper's numbers beside ours: read with one-line errors, compared in its unit, shown only where asked for."""

import pytest
from reporting.example import HOSTILE, PARAMS, method_result

from fieldmark.base.errors import UserError
from fieldmark.reporting.build import build_report
from fieldmark.reporting.page import fingerprint
from fieldmark.reporting.published import Published, beside, read_published
from fieldmark.results.schema import MethodResult


def row(**changes):
    number = {"variant": "R", "measure": "recall@1", "value": 66.0, "table": "Table 3", "tolerance": 1.0}
    return {**number, **changes}


def view(**changes):
    [only] = beside(MethodResult.model_validate(method_result()), [Published.model_validate(row(**changes))])
    return only


def test_what_lies_within_the_tolerance_repeats_the_paper():
    assert (view().paper, view().here, view().verdict, view().good) == ("66.0", "65.5", "within 1", True)
    low = view(tolerance=0.4)
    assert (low.verdict, low.good) == ("0.5 below, more than 0.4", False)
    high = view(value=60.0, tolerance=2.5)
    assert (high.verdict, high.good) == ("5.5 above, more than 2.5", False)


def test_numbers_that_are_no_fractions_are_compared_as_they_are():
    assert (
        view(measure="components_90", value=30.0).here,
        view(measure="components_90", value=30.0).good,
    ) == (
        "31.0",
        True,
    )


@pytest.mark.parametrize("changes", [{"variant": "O"}, {"measure": "map"}])
def test_what_was_not_measured_is_said(changes):
    assert (view(**changes).here, view(**changes).verdict, view(**changes).good) == ("not measured", "", None)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"irt": [row(vallue=1)]}, r"unknown parameter expected\.irt\.0\.vallue; did you mean 'value'\?"),
        ({"irt": [row(tolerance=0)]}, r"parameter expected\.irt\.0\.tolerance: "),
        ({"irt": [row(), {"variant": "R"}]}, r"parameter expected\.irt\.1\.measure is missing"),
        ({"irt": row()}, "expected must map methods to lists"),
        ([row()], "expected must map methods to lists"),
    ],
)
def test_a_wrong_block_is_refused_in_one_line(block, message):
    with pytest.raises(UserError, match=message) as caught:
        read_published({"expected": block})
    assert "\n" not in str(caught.value)


def test_page_and_summary_show_it_where_a_preset_brought_it(root):
    without = build_report(root / "reports", root / "data/prepared", PARAMS)
    rows = [row(table=f"Table 3 {HOSTILE}"), row(variant="L", value=70.0), row(variant="O")]
    params = {**PARAMS, "expected": {"irt": rows}}
    page, summary = build_report(root / "reports", root / "data/prepared", params)
    assert "in the paper" not in without[1]
    assert "beside the paper" not in without[0]
    assert "| R | recall@1 | 66.0 (Table 3 " in summary
    assert "| 65.5 | ✓ within 1 |" in summary
    assert "| L | recall@1 | 70.0 (Table 3) | 62.0 | ✗ 8.0 below, more than 1 |" in summary
    assert "| O | recall@1 | 66.0 (Table 3) | not measured |  |" in summary
    assert "<script>alert" not in page + summary
    for shown in ("beside the paper", "within 1", "8.0 below, more than 1", "not measured"):
        assert shown in page


def test_it_decides_no_result():
    assert fingerprint({**PARAMS, "expected": {"irt": [row()]}}) == fingerprint(PARAMS)
