"""Reading results: whatever is malformed is refused by file and key, whatever is absent is left out."""

import json
from pathlib import Path

import pytest
from reporting.example import PARAMS, method_metrics, write

from fieldmark.base.errors import UserError
from fieldmark.reporting.reading import read_results
from fieldmark.results.figures import FigureEntry, read_figures, write_figures_index


def read(root):
    return read_results(root / "reports", root / "data/prepared", PARAMS)


def test_everything_is_read(root):
    results = read(root)
    assert [one.method for one in results.methods] == ["irt"]
    assert results.methods[0].ordered == ["R", "L"]
    assert results.methods[0].others == ["map"]
    assert results.methods[0].variants["L"]["components_90"].value == 12
    assert [one.entry.file for one in results.method_figures["irt"]] == ["a.svg"]
    assert [one.name for one in results.datasets] == ["birds"]
    assert [one.name for one in results.clip_models] == ["small"]
    assert [one.entry.file for one in results.clip_figures["small"]] == ["b.svg"]
    assert results.expected == ["irt", "frpt"]


def test_nothing_is_read_from_nowhere(tmp_path):
    results = read(tmp_path / "nowhere")
    assert [*results.methods, *results.datasets, *results.backbones, *results.clip_models] == []


def test_methods_follow_params_and_what_params_no_longer_name_is_left_out(root):
    for name in ("frpt", "aaa"):
        write(root / f"reports/metrics/{name}.json", {**method_metrics(), "method": name})
    assert [one.method for one in read(root).methods] == ["irt", "frpt"]


def broken(key, value):
    """Return metrics with `key` (dotted) set to `value`, or taken out when `value` is None."""
    metrics = method_metrics()
    *path, last = key.split(".")
    owner = metrics
    for part in path:
        owner = owner[int(part)] if isinstance(owner, list) else owner[part]
    owner[last] = value
    if value is None:
        del owner[last]
    return metrics


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("title", None),
        ("variants", {}),
        ("variants.L.map", "high"),
        ("variants.L.map", float("nan")),
        ("variants.L.map", True),
        ("variants.L.map", {"low": 1.0}),
        ("claims.1.verdict", "perhaps"),
        ("claims.0.paper", None),
        ("headline", []),
        ("notes", "text"),
    ],
)
def test_malformed_metrics_are_named(root, key, value):
    path = root / "reports/metrics/irt.json"
    write(path, broken(key, value))
    with pytest.raises(UserError) as caught:
        read(root)
    assert str(path) in str(caught.value)
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


def test_headline_that_no_variant_has_is_named(root):
    write(root / "reports/metrics/irt.json", broken("headline", ["recall@1", "recal@2"]))
    with pytest.raises(UserError, match=r"irt\.json: headline\.1 names 'recal@2'"):
        read(root)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
@pytest.mark.parametrize(
    "file",
    ["reports/metrics/irt.json", "reports/backbones/vit.json", "reports/clip_models/small.json",
     "reports/validation/birds.json", "data/prepared/birds/summary.json"],
)  # fmt: skip
def test_what_is_no_object_is_refused_by_file(root, file, text):
    (root / file).write_text(text)
    with pytest.raises(UserError, match=Path(file).name):
        read(root)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"file": "../../secret.svg", "title": "t"}, r"0\.file"),
        ({"file": "page.html", "title": "t"}, "should match pattern"),
        ({"file": "gone.svg", "title": "t"}, "gone.svg, which does not exist"),
        ({"file": "a.svg"}, r"0\.title"),
    ],
)
def test_bad_figure_entries_are_refused(root, entry, message):
    (root / "reports/figures/irt/page.html").write_text("<p>")
    write(root / "reports/figures/irt/figures.json", [entry])
    with pytest.raises(UserError, match=message):
        read(root)


def test_figures_index_round_trip(tmp_path):
    entries = [
        FigureEntry(file="b.png", title="B", wide=True),
        FigureEntry(file="a.svg", title="A", caption="c"),
    ]
    for entry in entries:
        (tmp_path / entry.file).write_bytes(entry.file.encode())
    write_figures_index(tmp_path, entries)
    found = read_figures(tmp_path)
    assert [one.entry for one in found] == entries
    assert [one.content for one in found] == [b"b.png", b"a.svg"]
    assert json.loads((tmp_path / "figures.json").read_text())[0]["file"] == "b.png"
