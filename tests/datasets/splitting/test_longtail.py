"""Long-tailed splits: shares of every class, Pareto frequencies, roles; class order and multi-hot rows."""

import math

import numpy as np
import pytest
from support.multilabel import label_table_of, multilabel_manifest
from support.pictures import manifest as single_label

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.roles.multilabel import label_names, multi_hot, training_counts
from fieldmark.datasets.data.roles.splits import COLUMNS, SplitParams, read_split, write_split
from fieldmark.datasets.splitting.longtail import draw, make_longtail, pareto_counts
from fieldmark.datasets.splitting.thinning import thin

COUNTS = {"tree": 200, "duck": 120, "car": 60, "owl": 24, "boat": 8, "bench": 2}


@pytest.fixture
def frame():
    return multilabel_manifest(COUNTS)


def params(**options):
    return SplitParams(dataset="d", kind="longtail", **options)


def of_role(frame, split, role):
    classes = label_names(frame)
    counts = multi_hot(frame, split[split["role"] == role], classes).sum(axis=0)
    return dict(zip(classes, counts.astype(int).tolist(), strict=True))


def test_every_class_gives_its_share_to_every_role(frame):
    split = make_longtail(frame, params(test_fraction=0.4, val_fraction=0.25))
    assert list(split.columns) == COLUMNS.names
    assert set(split["label"]) == {-1}
    assert set(split["class_name"]) == {""}
    assert split["id"].is_unique
    assert len(split) == 400
    test, val, train = (of_role(frame, split, role) for role in ("test", "val", "train"))
    for name, count in COUNTS.items():
        assert test[name] == pytest.approx(0.4 * count, abs=max(1.0, 0.06 * count)), name
        assert val[name] == pytest.approx(0.25 * (count - test[name]), abs=max(1.0, 0.08 * count)), name
        assert train[name] >= 1
    assert test["bench"] == 1


def test_the_split_depends_on_seed_and_content_alone(frame):
    split = make_longtail(frame, params(imbalance=20.0))
    again = make_longtail(frame.sample(frac=1.0, random_state=3), params(imbalance=20.0))
    assert split.equals(again)
    other = make_longtail(frame, params(imbalance=20.0, seed=1))
    assert not split.equals(other)


def test_pareto_counts_fall_by_a_power_law_from_the_first_to_the_last():
    goal = pareto_counts(np.array([50, 1000, 0, 800, 900, 700]), 100.0)
    power = math.log(100) / math.log(5)
    assert goal.tolist() == [10, 1000, 0, *(round(1000 * r**-power) for r in (3, 2, 4))]
    assert pareto_counts(np.array([100, 100, 3]), 10.0).tolist()[2] == 3  # never more than there are
    assert pareto_counts(np.array([7]), 10.0).tolist() == [7]
    assert pareto_counts(np.array([9, 9]), 1000.0).tolist() == [9, 1]


def test_thinning_meets_the_goals_and_the_rarer_half_never_passes_them():
    rng = np.random.default_rng(0)
    table = rng.random((3000, 8)) < 0.3
    goal = pareto_counts(table.sum(axis=0), 50.0)
    counts = table[thin(label_table_of(table), goal)].sum(axis=0)
    rank = np.argsort(goal)
    assert (counts[rank[:4]] == goal[rank[:4]]).all()
    assert (counts[rank[4:7]] >= goal[rank[4:7]]).all()


@pytest.mark.parametrize("imbalance", [10.0, 40.0])
def test_the_training_pictures_have_about_the_chosen_imbalance(imbalance):
    frame = multilabel_manifest(dict.fromkeys("abcdefgh", 900), pictures=4000)
    split = make_longtail(frame, params(test_fraction=0.25, val_fraction=0.0, imbalance=imbalance))
    counts = sorted(of_role(frame, split, "train").values())
    assert imbalance <= counts[-1] / counts[0] < 1.3 * imbalance
    untouched = make_longtail(frame, params(test_fraction=0.25, val_fraction=0.0))
    assert of_role(frame, split, "test") == of_role(frame, untouched, "test")


def test_copies_of_a_picture_stay_together(frame):
    frame["sha256"] = [f"content {n // 2}" for n in range(len(frame))]
    split = make_longtail(frame, params(test_fraction=0.4, val_fraction=0.3))
    contents = split["id"].map(frame.set_index("id")["sha256"])
    assert (split["role"].groupby(contents).nunique() == 1).all()
    assert len(split) == len(frame)


def test_the_roles_of_the_source_are_kept_and_val_is_a_part_of_train(frame):
    frame["split"] = ["test" if n % 3 == 0 else "train" for n in range(len(frame))]
    split = make_longtail(frame, params(val_fraction=0.2))
    roles = split.set_index("id")["role"]
    given = frame.set_index("id")["split"]
    assert set(roles) == {"train", "val", "test"}
    assert (roles.replace("val", "train") == given).all()
    assert set(make_longtail(frame, params(val_fraction=0.0))["role"]) == {"train", "test"}
    frame.loc[1, "split"] = "val"
    assert (make_longtail(frame, params())["role"] == "val").sum() == 1
    images = make_longtail(frame, params(by="images", test_fraction=0.5, val_fraction=0.0))
    assert (images.set_index("id")["role"] != given).any()


def test_unlabelled_pictures_stay_in_the_test_and_leave_a_thinned_train(frame):
    frame.loc[:9, "labels"] = frame.loc[:9, "labels"].map(lambda _: [])
    frame["split"] = ["test" if n < 5 or n % 3 == 0 else "train" for n in range(len(frame))]
    split = make_longtail(frame, params(imbalance=50.0)).set_index("id")
    assert (split.loc[frame["id"][:5], "role"] == "test").all()
    assert frame["id"][7] not in split.index


def test_draw_by_hand():
    frame = multilabel_manifest({"a": 0, "b": 0}, pictures=4)
    frame["labels"] = [["a", "b"], ["b"], ["b"], ["b"]]
    chosen = draw(frame, ["a", "b"], 0.5, 0, "test")
    assert not chosen[0]  # the only picture of a
    assert chosen.sum() == 2


def test_a_set_without_labels_or_roles_is_refused(frame):
    with pytest.raises(UserError, match="labels"):
        make_longtail(single_label({"wren": 3}), params())
    frame["split"] = "train"
    with pytest.raises(UserError, match="for test"):
        make_longtail(frame, params())
    frame.loc[0, "split"] = None
    with pytest.raises(UserError, match="by: images"):
        make_longtail(frame, params())


@pytest.mark.parametrize("labels", [None, []])
def test_thinning_a_train_without_pictures_or_labels_is_refused(frame, labels):
    frame["split"] = "test" if labels is None else "train"
    if labels is not None:
        frame.loc[200:, "split"] = "test"
        frame.loc[:199, "labels"] = frame.loc[:199, "labels"].map(lambda _: [])
    with pytest.raises(UserError, match="for train"):
        make_longtail(frame, params(imbalance=50.0))


def test_classes_without_a_test_picture_are_named(frame, caplog):
    frame["split"] = ["train" if "owl" in labels else "test" for labels in frame["labels"]]
    make_longtail(frame, params())
    assert "no test picture: owl" in caplog.text


def test_the_split_is_written_and_read(frame, tmp_path):
    split = make_longtail(frame, params())
    write_split(split, tmp_path / "longtail.parquet")
    assert read_split(tmp_path / "longtail.parquet").equals(split)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "longtail", "imbalance": 1.0}, "imbalance"),
        ({"kind": "longtail", "head": 10}, "tail .20. must not exceed head .10."),
        ({"kind": "longtail", "by": "classes"}, "by: classes"),
        ({"kind": "longtail", "shots": 2}, "shots"),
        ({"kind": "retrieval", "imbalance": 4.0}, "imbalance goes with kind: longtail"),
        ({"kind": "classification", "head": 4}, "head goes with"),
        ({"kind": "longtial"}, "longtail"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    content = Configuration({"splits": {"s": {"dataset": "d", **options}}})
    with pytest.raises(UserError, match=message) as error:
        content.item("splits", "s", SplitParams)
    assert "\n" not in str(error.value)


def test_multi_hot_follows_the_frame_and_the_class_order(frame):
    classes = label_names(frame)
    assert classes == sorted(COUNTS)
    chosen = frame.iloc[[5, 2, 9]]
    table = multi_hot(frame, chosen, classes)
    assert (table.dtype, table.shape) == (np.float32, (3, 6))
    for row, labels in zip(table, chosen["labels"], strict=True):
        assert [classes[i] for i in np.flatnonzero(row)] == labels
    with pytest.raises(UserError, match="not among the classes"):
        multi_hot(frame, frame, classes[:-1])
    with pytest.raises(UserError, match="no picture 'x'"):
        multi_hot(frame, chosen.assign(id="x"), classes)


def test_training_counts_are_of_train_and_val(frame):
    split = make_longtail(frame, params(val_fraction=0.5))
    counts = training_counts(frame, split, label_names(frame))
    train, val = of_role(frame, split, "train"), of_role(frame, split, "val")
    assert counts.tolist() == [train[name] + val[name] for name in sorted(COUNTS)]
