import json
import subprocess
import sys

import pandas as pd
import pytest
from support.pictures import dataset, manifest

from fieldmark.base.errors import UserError
from fieldmark.base.files import write_json
from fieldmark.datasets.checking.facts import manifest_facts
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.splitting.splits import make_split

KINDS = {
    "retrieval": SplitParams(dataset="d", kind="retrieval"),
    "classification": SplitParams(dataset="d", kind="classification"),
}


@pytest.fixture
def frame():
    return manifest({"a": 8, "b": 2, "c": 4, "d": 3})


def check(frame, splits=None, params=None):
    splits = {} if splits is None else splits
    return validate(frame, params or dataset(), splits, KINDS)


def refused(message, frame, splits=None, params=None):
    with pytest.raises(UserError, match=message) as caught:
        check(frame, splits, params)
    assert "\n" not in str(caught.value)


def test_a_good_data_set_passes_and_the_report_says_how_balanced_it_is(frame, tmp_path):
    splits = {name: make_split(frame, kind) for name, kind in KINDS.items()}
    report = check(frame, splits)
    assert all(outcome["success"] for outcome in report["expectations"])
    assert report["balance"] == {
        "pictures": 17,
        "classes": 4,
        "pictures_per_class": {"least": 2, "most": 8},
        "imbalance": 4.0,
    }
    assert report["splits"]["retrieval"]["test"]["imbalance"] == pytest.approx(4 / 3)
    for name in ("one", "two"):
        write_json(tmp_path / name, check(frame, splits))
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()
    assert "retrieval" in json.loads((tmp_path / "one").read_text())["splits"]


def test_a_data_set_without_splits_and_classes_passes(frame):
    report = check(frame.assign(class_name=None, label=-1))
    assert report["balance"] == {"pictures": 17, "classes": 0}


def changed(frame, **values):
    """Return `frame` with the last picture, d/16, changed."""
    frame = frame.copy()
    for column, value in values.items():
        frame[column] = frame[column].astype(object)
        frame.at[16, column] = value
    return frame


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": "d/15"}, "every id occurs once', not so for 2 pictures: d/15"),
        (
            {"row": 3},
            "every row of the store occurs once', not so for 2 pictures: b/9, d/16|d/16, a/3|a/3, d/16",
        ),
        ({"row": 17}, "rows are rows of the store', not so for 1 pictures: d/16"),
        ({"label": 1}, "labels are the indices .*: d/16"),
        ({"label": -1}, "labels are the indices .*: d/16"),
        ({"width": 31}, "shorter side at least 32 pixels', not so for 1 pictures: d/16"),
        ({"width": 10001}, "longer side at most 10000 pixels"),
        ({"width": 400}, "longer side at most 5 x the shorter', not so for 1 pictures: d/16"),
        ({"box": [40.0, 0.0, 20.0, 10.0]}, "boxes lie inside their picture', not so for 1 pictures: d/16"),
        ({"box": [0.0, 0.0, 0.0, 10.0]}, "boxes lie inside"),
        ({"box": [0.0, 0.0, float("nan"), 10.0]}, "boxes lie inside"),
        ({"captions": ["a bird", "  "]}, "no caption is blank', not so for 1 pictures: d/16"),
    ],
)
def test_what_is_wrong_with_a_picture_stops_and_names_it(frame, values, message):
    refused(rf"validation failed: manifest: expected '.*{message}", changed(frame, **values))


def test_a_missing_column_is_named_before_anything_else(frame):
    refused("the columns are those of the schema', found .*'id'", frame.drop(columns="row"))


def test_boxes_are_measured_in_the_stored_picture(frame):
    half = changed(frame, box=[10.0, 0.0, 14.0, 20.0])  # the stored picture has 24 x 20 pixels
    check(half, params=dataset(side=20))
    refused("boxes lie inside", half, params=dataset(side=18))
    square = changed(
        frame, box=[10.0, 0.0, 30.0, 40.0]
    )  # the original has 48 x 40 pixels, the stored picture 40 x 40
    check(square, params=dataset(side=40, shape="square"))
    refused("boxes lie inside", square, params=dataset(side=38, shape="square"))


def test_squares_are_judged_by_the_sides_of_their_originals(frame):
    long = changed(frame, width=300, height=40)
    refused("longer side at most 5 x the shorter", long, params=dataset(side=40, shape="square"))
    refused(
        "shorter side at least 50", frame, params=dataset(side=64, shape="square", expect={"min_side": 50})
    )


def test_equal_pictures_in_one_role_are_a_warning_only(frame, caplog):
    report = check(changed(frame, sha256="content of d/15"))
    failed = [outcome for outcome in report["expectations"] if not outcome["success"]]
    assert [(item["expectation"], item["ids"]) for item in failed] == [
        ("no two pictures are equal", ["d/15", "d/16"])
    ]
    assert "warning: manifest: expected 'no two pictures are equal'" in caplog.text


def test_promises_of_the_source_are_kept(frame):
    captioned = frame.assign(captions=[["a bird"]] * 17, box=[[0.0, 0.0, 9.0, 9.0]] * 17)
    promising = dataset("cub200", {"captions": "somewhere"})
    check(captioned, params=promising)
    refused(
        "every picture has captions', not so for 1 pictures: d/16",
        changed(captioned, captions=[]),
        params=promising,
    )
    refused("every picture has a box", changed(captioned, box=None), params=promising)
    lenient = dataset("cub200", {"captions": "somewhere"}, expect={"captioned": 0.9})
    check(changed(captioned, captions=[]), params=lenient)
    refused("90% of the pictures have captions", captioned.assign(captions=[[]] * 17), params=lenient)


def rows(frame, name, **values):
    split = make_split(frame, KINDS[name])
    for column, value in values.items():
        split.loc[split.index[-1], column] = value
    return {name: split}


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("retrieval", {"role": "train"}, "labels are the indices|no class is both in train and in the test"),
        ("retrieval", {"role": "trian"}, "roles are known"),
        ("retrieval", {"row": 3}, "rows agree with the manifest', not so for 1 pictures: d/16"),
        (
            "retrieval",
            {"id": "unknown"},
            "every picture stands in the manifest', not so for 1 pictures: unknown",
        ),
        ("retrieval", {"id": "d/15", "row": 15}, "every picture occurs once"),
        ("retrieval", {"label": 5}, "labels are the indices"),
        ("classification", {"class_name": "new"}, "labels are the indices|every class has training pictures"),
    ],
)
def test_what_is_wrong_with_a_split_stops_and_names_it(frame, name, values, message):
    refused(f"split {name}: expected '({message})", frame, rows(frame, name, **values))


def test_a_class_on_both_sides_is_found(frame):
    split = make_split(frame, KINDS["retrieval"])
    split.loc[split["class_name"] == "c", "role"] = ["train", "train", "test", "test"]
    split["label"] = split.groupby(split["role"] == "train")["class_name"].transform(
        lambda s: s.rank(method="dense") - 1
    )
    refused(
        "no class is both in train and in the test', not so for 4 pictures: c/10", frame, {"retrieval": split}
    )


def test_one_content_in_two_roles_is_found(frame):
    splits = {"retrieval": make_split(frame, KINDS["retrieval"])}
    copied = frame.copy()
    copied.loc[16, "sha256"] = "content of a/0"
    refused("no picture's content has two roles', not so for 2 pictures: a/0, d/16", copied, splits)


def test_a_test_class_of_one_picture_is_found(frame):
    split = make_split(frame, KINDS["retrieval"])
    split = split[~split["id"].isin(["d/15", "d/16"])]
    refused(
        "every test class has at least two pictures', not so for 1 pictures: d/14",
        frame,
        {"retrieval": split},
    )


def test_a_role_that_is_missing_is_found(frame):
    split = make_split(frame, KINDS["retrieval"])
    refused("there is train and test", frame, {"retrieval": split[split["role"] == "train"]})


def test_facts_measure_sides_and_aspect():
    facts = manifest_facts(manifest({"a": 1}), dataset())
    assert facts.loc[0, ["shorter_side", "longer_side", "aspect"]].tolist() == [40, 48, 1.2]
    assert pd.isna(facts.loc[0, "box_past_edge"])


def test_only_validation_pays_for_great_expectations():
    code = (
        "import sys, fieldmark.datasets.preparing.prepare, fieldmark.datasets.splitting.splits;"
        "import fieldmark.datasets.checking.facts;"
        "sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_copies_that_a_split_leaves_out_stand_in_the_report(frame):
    roles = {key: "train" if key[0] in "ab" else "test" for key in frame["id"]}
    frame = frame.assign(split=frame["id"].map(roles))
    kinds = {"retrieval": SplitParams(dataset="d", kind="retrieval", by="source")}
    whole = {"retrieval": make_split(frame, kinds["retrieval"])}
    assert "left_out" not in validate(frame, dataset(), whole, kinds)
    frame.loc[frame["id"] == "a/3", "sha256"] = "content of c/10"
    splits = {"retrieval": make_split(frame, kinds["retrieval"])}
    report = validate(frame, dataset(), splits, kinds)
    assert report["left_out"] == {"retrieval": {"pictures": 1, "copies": 1, "ids": ["a/3"]}}


def test_a_published_protocol_can_keep_its_copies_with_a_warning(frame):
    roles = {key: "train" if key[0] in "ab" else "test" for key in frame["id"]}
    frame = frame.assign(split=frame["id"].map(roles))
    frame.loc[frame["id"] == "a/3", "sha256"] = "content of c/10"
    kept = SplitParams(dataset="d", kind="retrieval", by="source", copies="keep")
    split = make_split(frame, kept)
    assert len(split) == len(frame)
    report = validate(frame, dataset(), {"retrieval": split}, {"retrieval": kept})
    failed = [(one["expectation"], one["severity"]) for one in report["expectations"] if not one["success"]]
    assert ("no picture's content has two roles", "warning") in failed
    assert "left_out" not in report
