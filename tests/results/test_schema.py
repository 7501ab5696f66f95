"""Results: what a method's evaluation returns, what is written of it, and what DVC compares."""

import json

import pytest
from pydantic import ValidationError

from fieldmark.base.files import write_json
from fieldmark.evaluation.bootstrap import Interval
from fieldmark.results.files import checked
from fieldmark.results.schema import Evaluation, Measure, MethodResult, NetworkResult, VariantResult


def evaluation(**changes):
    content = {
        "title": "A method",
        "variants": (
            VariantResult(
                name="LOCA-0.5", measures={"map": Interval(0.5, 0.4, 0.6), "weights": 12, "top1": 0.25}
            ),
            VariantResult(name="plain", measures={"map": 0.25}),
        ),
        "headline": ("map", "weights"),
        "metrics": ("map", "top1"),
    }
    return Evaluation(**content | changes)


def test_measures_may_be_intervals_or_numbers():
    [first, second] = evaluation().variants
    assert first.measures["map"] == Measure(value=0.5, low=0.4, high=0.6)
    assert second.measures["map"] == Measure(value=0.25)
    assert isinstance(first.measures["weights"].value, int)


def test_values_by_seed_are_in_the_file_where_there_are_several():
    once, several = Interval(0.5, 0.4, 0.6), Interval(0.5, 0.4, 0.6, (0.45, 0.55))
    measures = {"once": once, "several": several, "number": Measure(value=2.0, seeds=(1, 3))}
    written = VariantResult(name="v", measures=measures).model_dump(mode="json")["measures"]
    assert written["once"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert written["several"] == {"value": 0.5, "low": 0.4, "high": 0.6, "seeds": [0.45, 0.55]}
    assert written["number"]["seeds"] == [1, 3]


def test_what_dvc_compares_is_flat_and_only_what_is_named():
    assert evaluation().metric_values == {"LOCA-0.5.map": 0.5, "LOCA-0.5.top1": 0.25, "plain.map": 0.25}
    assert evaluation().metric_measures["LOCA-0.5.map"].high == 0.6


def test_the_others_are_the_measures_beside_the_headline():
    assert evaluation().others == ["top1"]


def test_a_network_names_its_metrics_and_lacks_some():
    network = NetworkResult(name="vit", measures={"top1": Interval(0.5, 0.4, 0.6)}, metrics=("top1", "map"))
    assert network.metric_values == {"top1": 0.5}
    assert network.metric_measures["top1"].low == 0.4


def test_a_results_file_is_read_as_it_was_written(tmp_path):
    result = MethodResult(
        method="m",
        split="s",
        dataset="d",
        **evaluation(details={"per class": {"wren": [1, 0.5]}}).model_dump(),
    )
    write_json(tmp_path / "m.json", result.model_dump(mode="json"))
    assert checked(MethodResult, tmp_path / "m.json") == result


@pytest.mark.parametrize("place", ["headline", "metrics"])
def test_a_measure_that_no_variant_has_is_refused(place):
    with pytest.raises(ValidationError, match=rf"{place}\.1 names 'mapp'"):
        evaluation(**{place: ("map", "mapp")})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.5", None])
def test_what_is_no_finite_number_is_no_measure(value):
    with pytest.raises(ValidationError):
        VariantResult(name="v", measures={"map": value})


def test_keys_of_a_later_time_are_left_alone(tmp_path):
    (tmp_path / "n.json").write_text(json.dumps({"name": "n", "colour": "red"}))
    assert checked(NetworkResult, tmp_path / "n.json").name == "n"
