"""Reading results: whatever is malformed is refused by file and key, whatever is absent or old is left out."""

from pathlib import Path

import pytest
from reporting.example import PARAMS, method_result, write

from fieldmark.base.errors import UserError
from fieldmark.reporting.reading import is_current, items_of, read_results


def read(root, params=PARAMS):
    return read_results(root / "reports", root / "data/prepared", params)


def test_everything_is_read(root):
    results = read(root)
    [irt] = results.methods
    assert irt.method == "irt"
    assert [variant.name for variant in irt.variants] == ["R", "L"]
    assert irt.others == ["map"]
    assert irt.variants[1].measures["components_90"].value == 12
    assert [figure.entry.file for figure in results.method_figures["irt"]] == ["a.svg"]
    assert [dataset.name for dataset in results.datasets] == ["birds"]
    assert [network.measures["recall@1"].value for network in results.backbones] == [0.4]
    assert [network.name for network in results.clip_models] == ["small"]
    assert [figure.entry.file for figure in results.clip_figures["small"]] == ["b.svg"]
    assert results.phrases["birds"].counts["pictures"] == 2400
    assert results.expected == ["irt", "frpt"]


def test_nothing_is_read_from_nowhere(tmp_path):
    results = read(tmp_path / "nowhere")
    assert [*results.methods, *results.datasets, *results.backbones, *results.clip_models] == []


def test_methods_follow_params_and_what_params_no_longer_name_is_left_out(root):
    for name in ("frpt", "aaa"):
        write(root / f"reports/results/{name}.json", method_result(name))
    write(root / "reports/results/old.json", {"of": "another time"})
    assert [result.method for result in read(root).methods] == ["irt", "frpt"]
    turned = {"methods": {"frpt": {}, "irt": {}}}
    assert [result.method for result in read(root, turned).methods] == ["frpt", "irt"]


def test_every_section_follows_its_block(root):
    results = read(
        root, {**PARAMS, "backbones": {}, "clip_models": {}, "phrases": {}, "datasets": {"base": {}}}
    )
    assert [*results.backbones, *results.clip_models, *results.phrases, *results.datasets] == []
    assert len(results.methods) == 1


def test_the_items_of_a_block():
    assert items_of({"methods": {"b": {}, "a": {}}}, "methods") == ["b", "a"]
    assert items_of({"methods": None}, "methods") is None
    assert is_current({}, "methods", "irt")
    assert not is_current({"methods": {}}, "methods", "irt")


def broken(key, value):
    """Return a results file with `key` (dotted) set to `value`, or taken out when `value` is None."""
    content = method_result()
    *path, last = key.split(".")
    owner = content
    for part in path:
        owner = owner[int(part)] if isinstance(owner, list) else owner[part]
    owner[last] = value
    if value is None:
        del owner[last]
    return content


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("title", None),
        ("variants", []),
        ("variants.1.name", None),
        ("variants.1.measures.map", "high"),
        ("variants.1.measures.map", float("nan")),
        ("variants.1.measures.map", True),
        ("variants.1.measures.map", {"low": 1.0}),
        ("claims.1.verdict", "perhaps"),
        ("claims.0.paper", None),
        ("headline", []),
        ("metrics", []),
        ("notes", "text"),
    ],
)
def test_malformed_results_are_named(root, key, value):
    path = root / "reports/results/irt.json"
    write(path, broken(key, value))
    with pytest.raises(UserError) as caught:
        read(root)
    assert str(path) in str(caught.value)
    assert key in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["headline", "metrics"])
def test_a_name_that_no_variant_has_is_told(root, key):
    write(root / "reports/results/irt.json", broken(key, ["recall@1", "recal@2"]))
    with pytest.raises(UserError, match=rf"irt\.json: .*{key}\.1 names 'recal@2'"):
        read(root)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "\udcff"])
@pytest.mark.parametrize(
    "file",
    [
        "reports/results/irt.json",
        "reports/results/backbones/vit.json",
        "reports/results/clip_models/small.json",
        "reports/results/phrases/birds.json",
        "reports/validation/birds.json",
        "data/prepared/birds/summary.json",
    ],
)
def test_what_is_no_object_is_refused_by_file(root, file, text):
    (root / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=Path(file).name) as caught:
        read(root)
    assert "\n" not in str(caught.value)
