"""Validation of sets with several labels per picture, and of their long-tailed splits."""

import pytest
from support.multilabel import multilabel_manifest
from support.pictures import dataset

from fieldmark.base.errors import UserError
from fieldmark.datasets.checking.facts import has_labels, label_balance
from fieldmark.datasets.checking.validation import validate
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.splitting.longtail import make_longtail

KIND = SplitParams(dataset="d", kind="longtail", test_fraction=0.4, head=60, tail=10)


@pytest.fixture
def frame():
    frame = multilabel_manifest({"tree": 150, "duck": 60, "owl": 10}, pictures=200)
    return frame[frame["labels"].map(len) > 0].reset_index(drop=True).assign(row=lambda one: one.index)


def check(frame, split=None, params=None):
    split = make_longtail(frame, KIND) if split is None else split
    return validate(frame, params or dataset(), {"tail": split}, {"tail": KIND})


def test_a_good_set_passes_and_groups_and_counts_are_recorded(frame):
    report = check(frame)
    assert all(outcome["success"] for outcome in report["expectations"])
    assert report["balance"]["counts"] == {"duck": 60, "owl": 10, "tree": 150}
    assert report["balance"]["labels_per_picture"] == pytest.approx(220 / len(frame))
    assert report["groups"]["tail"] == {
        "thresholds": {"head": 60, "tail": 10},
        "head": ["tree"],
        "medium": ["duck"],
        "tail": ["owl"],
    }
    roles = report["splits"]["tail"]
    assert sum(roles[role]["counts"]["tree"] for role in ("train", "val", "test")) == 150
    assert "groups" not in validate(frame, dataset(), {}, {})


def test_too_few_pictures_with_labels_stop(frame):
    for row in range(len(frame) // 3):
        frame.at[row, "labels"] = []
    with pytest.raises(UserError, match="90% of the pictures have labels"):
        check(frame, params=dataset())
    check(frame, params=dataset(expect={"labelled": 0.5}))


@pytest.mark.parametrize("labels", [["tree", "tree"], ["tree", " "]])
def test_blank_and_repeated_labels_stop(frame, labels):
    split = make_longtail(frame, KIND)
    frame.at[3, "labels"] = labels
    with pytest.raises(UserError, match=f"no label is blank or twice on a picture.*{frame['id'][3]}"):
        check(frame, split)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", 0, "labels are left to the manifest"),
        ("row", 5, "rows agree"),
        ("id", "nobody", "stands in the manifest"),
        ("role", "exam", "roles are known"),
    ],
)
def test_what_is_wrong_with_the_split_stops(frame, column, value, message):
    split = make_longtail(frame, KIND)
    split.loc[0, column] = value
    with pytest.raises(UserError, match=message):
        check(frame, split)


def test_one_content_in_two_roles_stops(frame):
    split = make_longtail(frame, KIND)
    test, train = (split.loc[split["role"] == role, "id"].iloc[0] for role in ("test", "train"))
    frame.loc[frame["id"].isin([test, train]), "sha256"] = "the same"
    with pytest.raises(UserError, match="two roles"):
        check(frame, split)


def test_labels_that_are_never_trained_on_are_a_warning(frame, caplog):
    split = make_longtail(frame, KIND)
    owls = set(frame.loc[frame["labels"].map(lambda found: "owl" in found), "id"])
    split.loc[split["id"].isin(owls), "role"] = "test"
    report = check(frame, split)
    failed = [one for one in report["expectations"] if not one["success"]]
    assert [one["severity"] for one in failed] == ["warning"]
    assert failed[0]["unexpected"] == len(owls)


def test_balance_of_labels(frame):
    assert has_labels(frame)
    assert not has_labels(frame.assign(labels=[[] for _ in range(len(frame))]))
    frame.at[0, "labels"] = []
    found = label_balance(frame["labels"][:2])
    assert (found["pictures"], found["unlabelled"]) == (2, 1)
