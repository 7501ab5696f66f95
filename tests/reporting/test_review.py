"""A review: what changed, nothing else; verdicts first, then headline measures, then parameters."""

import pytest
from reporting.example import HOSTILE, write
from reporting.repository import write_method, write_params

from fieldmark.base.errors import UserError
from fieldmark.reporting.review import render_review, review, within
from fieldmark.reporting.revisions import WorkingTree
from fieldmark.reporting.snapshot import MeasureKey, Snapshot, read_snapshot
from fieldmark.results.schema import Measure

SIDES = ("old", "new")
R = {"recall@1": {"value": 0.4, "low": 0.35, "high": 0.45}}


def claim(verdict, low=0.01, high=0.05, text="KoLeo helps", decides="recall@1 of R minus L"):
    value = (low + high) / 2
    return {"claim": text, "paper": "p", "decides": decides, "value": value, "low": low, "high": high,
            "verdict": verdict}  # fmt: skip


@pytest.fixture
def folders(tmp_path):
    """Two equal projects, `old` and `new`, for a test to change."""
    for side in SIDES:
        write_params(tmp_path / side, methods={"irt": {}}, irt={"lambda": 0.7})
        write_method(tmp_path / side, "irt", R, [claim("holds")])
    return tmp_path


def page(folders):
    return review(*(WorkingTree(folders / side, side) for side in SIDES))


def rows(text, title):
    """The cells of the table under the heading `title`; none where there is no such heading."""
    below = text.partition(f"### {title}:")[2].partition("\n### ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def unescaped_bars(line):
    return line.replace("\\|", "").count("|")


def test_nothing_changed_is_one_line(folders):
    assert (
        page(folders) == "Nothing changed from old to new: no verdict, no headline measure, no parameter.\n"
    )


def test_a_changed_verdict_comes_first_with_both_differences(folders):
    write_method(folders / "new", "irt", {"recall@1": 0.3}, [claim("undecided", -0.02, 0.06)])
    write_params(folders / "new", methods={"irt": {}}, irt={"lambda": 0.3})
    text = page(folders)
    assert rows(text, "Claims") == [
        ["irt", "KoLeo helps", "recall@1 of R minus L", "✓ holds in this run: +3.0 points (+1.0 to +5.0)",
         "? undecided in this run: +2.0 points (−2.0 to +6.0)"],
    ]  # fmt: skip
    assert text.index("### Claims") < text.index("### Headline measures") < text.index("### Parameters")


def test_a_verdict_that_stays_is_not_named_though_its_numbers_move(folders):
    write_method(folders / "new", "irt", R, [claim("holds", 0.02, 0.09)])
    assert page(folders).startswith("Nothing changed")


def test_claims_that_came_or_went_are_named(folders):
    others = [
        claim("does not hold", -0.05, -0.01, text="It spreads"),
        claim("holds", decides="map of R minus L"),
    ]
    write_method(folders / "new", "irt", R, others)
    changed = {(row[1], row[2]): row[3:] for row in rows(page(folders), "Claims")}
    holds = "✓ holds in this run: +3.0 points (+1.0 to +5.0)"
    assert changed == {
        ("It spreads", "recall@1 of R minus L"): [
            "–",
            "✗ does not hold in this run: −3.0 points (−5.0 to −1.0)",
        ],
        ("KoLeo helps", "map of R minus L"): ["–", holds],
        ("KoLeo helps", "recall@1 of R minus L"): [holds, "–"],
    }


def test_claims_that_say_the_same_are_told_apart(folders):
    for side, last in zip(SIDES, ("holds", "undecided"), strict=True):
        write_method(folders / side, "irt", R, [claim("holds"), claim(last)])
    assert len(rows(page(folders), "Claims")) == 1


def test_a_changed_measure_has_its_difference_and_whether_it_is_within(folders):
    write_method(
        folders / "new", "irt", {"recall@1": {"value": 0.42, "low": 0.41, "high": 0.43}}, [claim("holds")]
    )
    assert rows(page(folders), "Headline measures") == [
        ["irt", "R.recall@1", "40.0 % (35.0 – 45.0)", "42.0 % (41.0 – 43.0)", "+2.0 points", "yes"]
    ]


def measure(value, low=None, high=None):
    return Measure(value=value, low=low, high=high)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (measure(0.4, 0.3, 0.5), measure(0.5, 0.45, 0.6), "yes"),  # at the edge of the old one's
        (measure(0.4, 0.39, 0.41), measure(0.5, 0.4, 0.6), "yes"),  # the old one in the new one's
        (measure(0.4, 0.3, 0.45), measure(0.5, 0.42, 0.6), "no"),  # that intervals overlap is not enough
        (measure(0.4, 0.3, 0.45), measure(0.5), "no"),
        (measure(0.4), measure(0.5, 0.4, 0.6), "yes"),
        (measure(0.4), measure(0.5), "no interval"),
    ],
)
def test_within(old, new, expected):
    assert within(old, new) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (0.4, 0.38, ["40.0 %", "38.0 %", "−2.0 points"]),
        (0.361667, 0.361668, ["36.1667 %", "36.1668 %", "+0.0001 points"]),
        (0.36149, 0.36151, ["36.149 %", "36.151 %", "+0.002 points"]),
        (31, 12, ["31", "12", "−19"]),
        (14.25, 14.5, ["14.2", "14.5", "+0.25"]),
        (14.2501, 14.2502, ["14.2501", "14.2502", "+0.0001"]),
        (0.5, 1.5, ["0.5", "1.5", "+1"]),
        (0.0, 0.25, ["0.0 %", "25.0 %", "+25.0 points"]),
    ],
)
def test_a_change_is_to_be_seen_however_small_it_is(old, new, expected):
    before, after = (
        Snapshot(side, {}, {MeasureKey("irt", "R.map"): measure(value)}, {})
        for side, value in zip(SIDES, (old, new), strict=True)
    )
    assert rows(render_review(before, after), "Headline measures") == [
        ["irt", "R.map", *expected, "no interval"]
    ]


def test_measures_that_came_or_went_are_named(folders):
    write_method(folders / "new", "irt", {"map": R["recall@1"]}, [claim("holds")])
    shown = "40.0 % (35.0 – 45.0)"
    assert rows(page(folders), "Headline measures") == [
        ["irt", "R.map", "–", shown, "–", "–"],
        ["irt", "R.recall@1", shown, "–", "–", "–"],
    ]


def test_networks_and_what_has_no_interval_are_compared_as_well(folders):
    for side, value in zip(SIDES, (0.5, 0.6), strict=True):
        top1 = {"value": value, "low": value - 0.02, "high": value + 0.02}
        for section in ("backbones", "clip_models", "prompts"):
            result = {"name": "small", "measures": {"top1": top1, "map": value}, "metrics": ["top1"]}
            write(folders / side / f"reports/results/{section}/small.json", result)
            write(folders / side / f"reports/metrics/{section}/small.json", {"top1": value})
        write(folders / side / "reports/results/difficulty/birds.json", {"pixels": value, "chance": 0.1})
        write(folders / side / "reports/metrics/difficulty/birds.json", {"pixels": value})
        write(folders / side / "reports/results/phrases/birds.json", {"frequent": value})
    assert [[row[0], row[1], row[-1]] for row in rows(page(folders), "Headline measures")] == [
        ["backbones/small", "top1", "no"],
        ["clip\\_models/small", "top1", "no"],
        ["difficulty/birds", "pixels", "no interval"],
        ["prompts/small", "top1", "no"],
    ]


def test_methods_come_in_the_order_of_params_and_old_results_count_for_nothing(folders):
    for side, value in zip(SIDES, (0.4, 0.6), strict=True):
        write_params(folders / side, methods={"pma": {}, "irt": {}}, backbones={}, datasets={"birds": {}})
        for name in ("irt", "pma", "gone"):
            write_method(folders / side, name, {"recall@1": value})
        write(folders / side / "reports/metrics/backbones/gone.json", {"top1": value})
        write(folders / side / "reports/metrics/difficulty/gone.json", {"pixels": value})
    assert [row[0] for row in rows(page(folders), "Headline measures")] == ["pma", "irt"]


def test_changed_parameters_are_named_with_dots(folders):
    nested = {"train": {"lr": 1e-3, "steps": 5}, "shots": [10, 5], "same": {"a": 1}}
    write_params(
        folders / "old", irt={**nested, "lambda": 0.7, "kind": "1", "options": {}, "on": True, "gone": None}
    )
    write_params(folders / "new", irt={**nested, "train": {"lr": 1e-4, "steps": 5}, "shots": [10],
                                       "lambda": "a|b", "kind": 1, "options": {"a": 2}, "on": 1})  # fmt: skip
    assert rows(page(folders), "Parameters") == [
        ["irt.train.lr", "0.001", "0.0001"],
        ["irt.shots", "\\[10, 5\\]", "\\[10\\]"],
        ["irt.lambda", "0.7", '"a\\|b"'],
        ["irt.kind", '"1"', "1"],
        ["irt.options.a", "–", "2"],
        ["irt.on", "true", "1"],
        ["irt.options", "{}", "–"],
        ["irt.gone", "null", "–"],
    ]


def test_hostile_texts_stay_in_their_cells(folders):
    write_method(folders / "new", "irt", {HOSTILE: 0.5}, [claim("holds", text=HOSTILE)])
    write_params(folders / "new", irt={HOSTILE: HOSTILE})
    text = page(folders)
    assert "<script" not in text
    assert "`rm`" not in text.replace("\\`", "")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {unescaped_bars(line) for line in tables} == {4, 6, 7}
    assert "from \\`x\\` to &lt;b&gt;" in render_review(
        Snapshot("`x`", {}, {}, {}), Snapshot("<b>", {}, {}, {})
    )


def test_a_revision_of_the_old_layout_is_told_in_one_line(folders):
    old = folders / "old"
    for file in old.rglob("reports/**/*.json"):
        file.unlink()
    write(old / "reports/metrics/irt.json", {"variants": {"R": {"recall@1": {"value": 0.4}}}, "claims": []})
    assert page(folders) == (
        "## What changed from old to new\n\n"
        "No results in this layout in old: there is no file in reports/results. "
        "Claims and headline measures are not compared.\n\n"
        "No parameter changed.\n"
    )
    write_params(folders / "new", methods={"irt": {}}, irt={"lambda": 0.3})
    assert rows(page(folders), "Parameters") == [["irt.lambda", "0.7", "0.3"]]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("reports/results/irt.json", {"title": "t"}),
        ("reports/results/irt.json", [1]),
        ("reports/metrics/irt.json", {"variants": {"R": {"recall@1": 0.4}}}),
    ],
)
def test_results_of_another_time_are_told_by_file(folders, file, content):
    write(folders / "old" / file, content)
    [line] = [
        line for line in page(folders).splitlines() if line.startswith("No results in this layout in old")
    ]
    assert file in line


@pytest.mark.parametrize("text", ["a: [", "3", ""])
def test_malformed_params_are_a_mistake(folders, text):
    (folders / "new/params.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^params\.yaml"):
        page(folders)


def test_absent_params_are_a_mistake(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml does not exist"):
        read_snapshot(WorkingTree(tmp_path))
