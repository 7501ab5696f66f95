import numpy as np
import pandas as pd
import pytest
from support.pictures import manifest

from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.roles.splits import SplitParams, chance, few_shot, read_split, write_split
from fieldmark.datasets.splitting.splits import make_split

CLASSES = {"a": 10, "b": 20, "c": 7, "d": 2}


def split_of(frame, kind, **options):
    return make_split(frame, SplitParams(dataset="d", kind=kind, **options))


def counts(split):
    return split.groupby(["role", "class_name"]).size().to_dict()


def with_source_splits(**roles):
    """Source splits for the manifest {"a": 2, "b": 2}: a/0, a/1, b/2, b/3."""
    return manifest({"a": 2, "b": 2}, {key.replace("_", "/"): role for key, role in roles.items()})


def test_retrieval_trains_on_the_first_half_of_the_sorted_classes():
    split = split_of(manifest({"z": 3, **CLASSES}), "retrieval")
    assert counts(split) == {
        ("train", "a"): 10,
        ("train", "b"): 20,
        ("test", "c"): 7,
        ("test", "d"): 2,
        ("test", "z"): 3,
    }
    assert dict(zip(split["class_name"], split["label"], strict=True)) == {
        "a": 0,
        "b": 1,
        "c": 0,
        "d": 1,
        "z": 2,
    }


@pytest.mark.parametrize(("share", "train"), [(0.25, "a"), (0.75, "abc"), (3, "abc"), (1, "a")])
def test_train_classes_is_a_share_or_a_number(share, train):
    split = split_of(manifest(CLASSES), "retrieval", train_classes=share)
    assert "".join(sorted(set(split["class_name"][split["role"] == "train"]))) == train


@pytest.mark.parametrize("share", [4, 99, 0.1])
def test_a_side_without_classes_is_refused(share):
    with pytest.raises(UserError, match="leaves no picture of 39 for"):
        split_of(manifest(CLASSES), "retrieval", train_classes=share)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "retrieval", "train_classes": 1.5}, "train_classes must be"),
        ({"kind": "retrieval", "train_classes": 0}, "train_classes must be"),
        ({"kind": "retrieval", "by": "images"}, "by: images does not go with kind: retrieval"),
        ({"kind": "classification", "by": "classes"}, "by: classes does not go with"),
        ({"kind": "fewshot"}, "shots must be given"),
        ({"kind": "retrieval", "shots": 3}, "shots must be given for kind: fewshot, and only there"),
        ({"kind": "retrival"}, "kind"),
        ({"kind": "retrieval", "sead": 1}, "did you mean 'seed'"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(UserError, match=rf"splits\.s.*{message}"):
        Configuration({"splits": {"s": {"dataset": "birds", **options}}}).item("splits", "s", SplitParams)


def test_the_sources_class_disjoint_split_is_used_when_asked_for():
    frame = with_source_splits(a_0="test", a_1="test", b_2="train", b_3="train")
    assert counts(split_of(frame, "retrieval", by="source")) == {("test", "a"): 2, ("train", "b"): 2}
    assert counts(split_of(frame, "retrieval")) == {("train", "a"): 2, ("test", "b"): 2}


def test_query_and_gallery_of_the_source():
    frame = manifest(
        {"a": 2, "b": 4}, dict.fromkeys(["a/0", "a/1"], "train") | dict.fromkeys(["b/2"], "query")
    )
    frame["split"] = frame["split"].fillna("gallery")
    split = split_of(frame, "retrieval", by="source")
    assert counts(split) == {("train", "a"): 2, ("query", "b"): 1, ("gallery", "b"): 3}
    assert set(split["label"][split["class_name"] == "b"]) == {0}


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        (
            with_source_splits(a_0="train", a_1="test", b_2="test", b_3="test"),
            "retrieval",
            "1 are in both: a; set by: classes",
        ),
        (
            with_source_splits(a_0="train", a_1="train"),
            "retrieval",
            "2 pictures have no split of their own: b/2, b/3",
        ),
        (with_source_splits(a_0="train", a_1="train", b_2="tset", b_3="test"), "retrieval", "holds 'tset'"),
        (
            with_source_splits(a_0="train", a_1="train", b_2="test", b_3="test"),
            "classification",
            "1 test classes .*: b; set by: images",
        ),
        (
            with_source_splits(a_0="train", a_1="train", b_2="train", b_3="train"),
            "classification",
            "no picture of 4 for test",
        ),
    ],
)
def test_a_source_split_that_does_not_do_is_refused(frame, kind, message):
    with pytest.raises(UserError, match=message):
        split_of(frame, kind, by="source")


def test_a_half_given_source_split_is_not_guessed():
    with pytest.raises(UserError, match=r"2 of 4 pictures have no split .* set by: images"):
        split_of(with_source_splits(a_0="train", a_1="test"), "classification")


def test_classification_follows_the_source_and_else_draws_each_class():
    given = with_source_splits(a_0="train", a_1="test", b_2="test", b_3="train")
    assert split_of(given, "classification")["role"].tolist() == ["train", "test", "test", "train"]
    drawn = split_of(manifest(CLASSES), "classification", test_fraction=0.3)
    sizes = counts(drawn)
    assert [sizes["test", name] for name in "abcd"] == [3, 6, 2, 1]
    assert [sizes["train", name] for name in "abcd"] == [7, 14, 5, 1]
    assert set(drawn["label"]) == {0, 1, 2, 3}


def test_a_class_of_one_image_is_trained_on_and_not_tested():
    split = split_of(manifest({"a": 4, "single": 1}), "classification", test_fraction=0.9)
    assert counts(split)["train", "single"] == 1
    assert ("test", "single") not in counts(split)


def test_a_test_class_of_one_image_is_left_out_of_retrieval(caplog):
    split = split_of(manifest({"a": 3, "b": 1, "c": 3, "lonely": 1}), "retrieval")
    assert counts(split) == {("train", "a"): 3, ("train", "b"): 1, ("test", "c"): 3}
    assert split["label"][split["role"] == "test"].unique().tolist() == [0]
    assert "1 test classes with a single picture left out: lonely" in caplog.text


@pytest.mark.parametrize("kind", ["retrieval", "classification", "fewshot"])
def test_a_split_depends_neither_on_row_order_nor_on_chance(kind):
    frame = manifest(CLASSES)
    options = {"shots": 1} if kind == "fewshot" else {}
    first = split_of(frame, kind, **options)
    pd.testing.assert_frame_equal(first, split_of(frame.sample(frac=1, random_state=1), kind, **options))


def test_the_seed_decides_the_draw():
    frame = manifest({"a": 50})
    roles = [split_of(frame, "classification", seed=seed)["role"].tolist() for seed in (0, 0, 1)]
    assert roles[0] == roles[1] != roles[2]


def test_chance_is_uniform_and_fixed_for_ever():
    assert chance(0, "wren") == pytest.approx(0.1022018, abs=1e-7)
    values = [chance(3, str(number)) for number in range(2000)]
    assert np.histogram(values, 10, (0, 1))[0].min() > 150
    assert max(values) < 1


def test_copies_of_a_picture_stay_together_in_a_drawn_split():
    frame = manifest({"a": 40})
    frame["sha256"] = [f"content {number // 4}" for number in range(40)]
    split = split_of(frame, "classification")
    assert split.groupby(frame["sha256"])["role"].nunique().max() == 1
    assert (split["role"] == "test").sum() == 20


@pytest.mark.parametrize(
    ("kind", "by"), [("retrieval", "classes"), ("classification", "images"), ("classification", "source")]
)
def test_a_copy_on_the_other_side_is_kept_for_the_test_only(kind, by, caplog):
    frame = manifest(
        {"a": 6, "b": 6}, {f"{'ab'[n > 5]}/{n}": ("test" if n % 2 else "train") for n in range(12)}
    )
    frame["sha256"] = [f"content {number % 6}" for number in range(12)]  # every picture is in both classes
    frame.loc[5, "sha256"] = "another"
    frame.loc[0:1, "sha256"] = "the same"
    split = split_of(frame, kind, by=by).merge(frame[["id", "sha256"]])
    assert split.groupby("sha256")["role"].nunique().max() == 1
    copied = split[split["sha256"].isin(["content 2", "content 3"])]
    assert set(copied["role"]) == {"test"} or by == "source"
    assert set(split["role"]) == {"train", "test"}
    assert "copies of pictures in another role left out" in caplog.text


@pytest.mark.parametrize(("copies", "left"), [("keep", 12), ("one_role", 10)])
def test_a_published_split_keeps_its_counts_or_no_copy_has_two_roles(copies, left, caplog):
    roles = ["train"] * 6 + ["query"] * 2 + ["gallery"] * 4
    frame = manifest({"a": 6, "b": 6}, {f"{'ab'[n > 5]}/{n}": role for n, role in enumerate(roles)})
    frame["sha256"] = [f"content {number}" for number in range(12)]
    frame.loc[6, "sha256"] = "content 0"  # a query equals a training picture
    frame.loc[8, "sha256"] = "content 7"  # one of the gallery equals a query
    split = split_of(frame, "retrieval", by="source", copies=copies)
    assert len(split) == left
    assert {"a/0", "b/8"} & set(split["id"]) == ({"a/0", "b/8"} if copies == "keep" else set())
    assert f"2 copies of pictures in another role {'kept' if copies == 'keep' else 'left out'}" in caplog.text


def test_pictures_without_a_class_take_no_part(caplog):
    frame = manifest({"a": 3, "b": 3, "c": 3})
    frame.loc[frame["class_name"] == "a", ["class_name", "label"]] = [None, -1]
    split = split_of(frame, "retrieval")
    assert set(split["class_name"]) == {"b", "c"}
    assert "3 pictures without a class" in caplog.text
    with pytest.raises(UserError, match="names no classes"):
        split_of(frame.assign(class_name=None), "retrieval")


def test_few_shot_takes_so_many_of_each_class_and_leaves_the_test():
    frame = manifest({"a": 10, "b": 20})
    full = split_of(frame, "classification")
    for shots in (1, 3):
        split = split_of(frame, "fewshot", shots=shots)
        assert counts(split) | {} == {**counts(full), ("train", "a"): shots, ("train", "b"): shots}
        pd.testing.assert_frame_equal(
            split[split["role"] == "test"].reset_index(drop=True),
            full[full["role"] == "test"].reset_index(drop=True),
        )
    assert set(few_shot(full, 1, 0)["id"]) < set(few_shot(full, 3, 0)["id"])
    with pytest.raises(UserError, match="shots: 6 is more than the training pictures of 1 classes: a"):
        few_shot(full, 6, 0)


def test_a_split_reads_back_as_written(tmp_path):
    split = split_of(manifest(CLASSES), "retrieval")
    write_split(split, tmp_path / "s.parquet")
    write_split(split, tmp_path / "again.parquet")
    assert (tmp_path / "s.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    pd.testing.assert_frame_equal(read_split(tmp_path / "s.parquet"), split, check_dtype=False)
    with pytest.raises(UserError, match="run `split` first"):
        read_split(tmp_path / "none.parquet")
