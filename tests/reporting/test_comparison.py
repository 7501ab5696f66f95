"""Methods of one split stand in one table; those of other splits, or without a measure in common, do not."""

from reporting.example import PARAMS, method_result, write

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
        variants=[{"name": "A", "measures": measures}],
        headline=tuple(measures),
        metrics=tuple(measures),
    )


def test_one_table_per_split_with_the_shared_headlines():
    first = result("irt", "retrieval", recall=0.4, components=9)
    second = result("frpt", "retrieval", recall=0.6, weights=100)
    [together] = comparisons([first, second, result("pma", "classification", recall=0.9)])
    assert together.headline == ("recall",)
    assert [variant.name for variant in together.variants] == ["IRT A", "FRPT A"]
    assert together.variants[1].measures["recall"].value == 0.6
    assert together.variants[0].title == " (backbones/vit)"


def test_nothing_in_common_gives_no_table():
    assert comparisons([result("pma", "same", top1=0.9), result("loca", "same", miou=0.3)]) == []


def test_whole_pictures_and_boxes_are_not_compared():
    whole, boxed = result("irt", "same", recall=0.4), result("frpt", "same", recall=0.6)
    assert comparisons([whole, boxed.model_copy(update={"region": "box"})]) == []


def test_the_page_and_the_summary_say_that_pictures_are_cut(root):
    write(root / "reports/results/frpt.json", {**method_result("frpt"), "region": "box"})
    for text in build_report(root / "reports", root / "data/prepared", PARAMS):
        assert text.count("cut to boxes") == 1


def test_the_page_and_the_summary_show_it(root):
    write(root / "reports/results/frpt.json", method_result("frpt"))
    page, summary = build_report(root / "reports", root / "data/prepared", PARAMS)
    assert "IRT, FRPT side by side" in page
    assert "IRT, FRPT side by side" in summary
