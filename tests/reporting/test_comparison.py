"""Methods of one split stand in one table; those of other splits, or without a measure in common, do not."""

from reporting.example import PARAMS, method_metrics, write

from fieldmark.reporting.build import build_report
from fieldmark.reporting.comparison import comparisons
from fieldmark.results.schema import MethodResult


def result(method, split, **measures):
    return MethodResult(
        method=method,
        title=method,
        split=split,
        dataset="birds",
        backbone="backbones/vit",
        variants={"A": {name: {"value": value} for name, value in measures.items()}},
        headline=list(measures),
    )


def test_one_table_per_split_with_the_shared_headlines():
    first = result("irt", "retrieval", recall=0.4, components=9)
    second = result("frpt", "retrieval", recall=0.6, weights=100)
    [one] = comparisons([first, second, result("pma", "classification", recall=0.9)])
    assert one.headline == ["recall"]
    assert one.ordered == ["IRT A", "FRPT A"]
    assert one.variants["FRPT A"]["recall"].value == 0.6
    assert one.variant_titles["IRT A"] == " (backbones/vit)"


def test_nothing_in_common_gives_no_table():
    assert comparisons([result("pma", "same", top1=0.9), result("loca", "same", miou=0.3)]) == []


def test_the_page_and_the_summary_show_it(root):
    write(root / "reports/metrics/frpt.json", {**method_metrics(), "method": "frpt"})
    page, summary = build_report(root / "reports", root / "data/prepared", PARAMS)
    assert "IRT, FRPT side by side" in page
    assert "IRT, FRPT side by side" in summary
