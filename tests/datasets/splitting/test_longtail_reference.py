"""Long-tailed splits equal, picture by picture, those of plain slow code on multi-hot tables."""

import numpy as np
import pandas as pd
import pytest
from support.multilabel import label_table_of

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.multilabel import label_names, label_table, multi_hot
from fieldmark.datasets.data.roles.splits import SplitParams, chance
from fieldmark.datasets.splitting import thinning
from fieldmark.datasets.splitting.longtail import FACTOR, STEPS, draw, make_longtail, pareto_counts


def slow_table(manifest, frame, classes):
    """Multi-hot rows, one cell after the other."""
    labels = dict(zip(manifest["id"], manifest["labels"], strict=True))
    return np.array([[name in labels[key] for name in classes] for key in frame["id"]], dtype=bool)


def slow_order(keys, seed, purpose):
    return np.argsort([chance(seed, f"{purpose}/{key}") for key in keys], kind="stable")


def slow_draw(frame, classes, fraction, seed, purpose):
    """Iterative stratification on a table of all classes."""
    first = frame.iloc[slow_order(frame["sha256"], seed, purpose)].drop_duplicates("sha256")
    table = slow_table(frame, first, classes)
    quota = np.minimum(np.round(fraction * table.sum(axis=0)), np.maximum(table.sum(axis=0) - 1, 0))
    chosen, decided = np.zeros(len(first), dtype=bool), np.zeros(len(first), dtype=bool)
    for label in np.argsort(table.sum(axis=0), kind="stable"):
        free = np.flatnonzero(table[:, label] & ~decided)
        missing = int(quota[label]) - int(chosen[table[:, label]].sum())
        chosen[free[: max(0, missing)]] = True
        decided[free] = True
    bare = np.flatnonzero(~decided)
    chosen[bare[: round(fraction * len(bare))]] = True
    return frame["sha256"].isin(first["sha256"][chosen]).to_numpy()


def slow_thin(table, goal):
    """Picture by picture, with a look at every class."""
    kept, served = np.zeros(len(table), dtype=bool), np.zeros(table.shape[1], dtype=bool)
    counts = np.zeros_like(goal)
    rank = np.argsort(goal, kind="stable")
    for label in rank:
        slow_add(table, kept, counts, goal, label, np.flatnonzero(table[:, label]), served)
        served[label] = True
    rarer = np.isin(np.arange(len(goal)), rank[: len(rank) // 2])
    fraction = table @ (1.0 / np.maximum(goal, 1))
    for label in rank[::-1][: len(rank) - len(rank) // 2]:
        free = np.flatnonzero(table[:, label])
        slow_add(table, kept, counts, goal, label, free[np.argsort(fraction[free], kind="stable")], rarer)
    return kept


def slow_add(table, kept, counts, goal, label, pictures, bound):
    for picture in pictures:
        if counts[label] >= goal[label]:
            return
        if not kept[picture] and not (table[picture] & bound & (counts >= goal)).any():
            kept[picture] = True
            counts += table[picture]


def slow_thinned(frame, classes, imbalance, seed):
    train = frame[frame["role"] == "train"]
    train = train.iloc[slow_order(train["sha256"], seed, "thin")]
    table = slow_table(frame, train, classes)
    counts = table.sum(axis=0)
    for step in range(STEPS):
        kept = slow_thin(table, pareto_counts(counts, imbalance * FACTOR**step))
        left = table[kept].sum(axis=0)[counts > 0]
        if left.max() >= imbalance * left.min() or left.min() == 1:
            break
    return frame.drop(index=train.index[~kept])


def slow_roles(manifest, params):
    """The role of every picture that takes part, by id."""
    classes = label_names(manifest)
    frame = manifest[["id", "row", "labels", "sha256"]].sort_values("row")
    test = slow_draw(frame, classes, params.test_fraction, params.seed, "test")
    frame["role"] = np.where(test, "test", "train")
    if params.imbalance is not None:
        frame = slow_thinned(frame, classes, params.imbalance, params.seed)
    train = frame[frame["role"] == "train"]
    chosen = slow_draw(train, classes, params.val_fraction, params.seed, "val")
    frame.loc[train.index[chosen], "role"] = "val"
    return dict(zip(frame["id"], frame["role"], strict=True))


def random_manifest(rng):
    """Pictures of a few labels or of none, in a random order; some are copies, and some name a label twice."""
    pictures, classes = int(rng.integers(2, 160)), int(rng.choice([1, 2, 3, 5, 9, 30]))
    weights = np.arange(1, classes + 1) ** -rng.choice([0.0, 1.0, 2.0])
    most = int(rng.integers(1, 9))
    labels = [
        [f"l{k}" for k in rng.choice(classes, size=rng.integers(0, most + 1), p=weights / weights.sum())]
        for _ in range(pictures)
    ]
    contents = rng.integers(0, pictures if rng.random() < 0.5 else 10 * pictures, size=pictures)
    return pd.DataFrame(
        {
            "id": [f"{n}.jpg" for n in rng.permutation(pictures)],
            "row": rng.permutation(pictures),
            "split": None,
            "labels": labels,
            "sha256": [f"content {content}" for content in contents],
        }
    )


@pytest.fixture(params=[1, 7, thinning.FEW], autouse=True)
def few(request, monkeypatch):
    """How many pictures thinning looks at first decides nothing."""
    monkeypatch.setattr(thinning, "FEW", request.param)
    monkeypatch.setattr(thinning, "BLOCK", 100 * request.param)


@pytest.mark.parametrize("seed", range(60))
def test_splits_are_those_of_the_slow_code(seed):
    rng = np.random.default_rng(seed)
    manifest = random_manifest(rng)
    params = SplitParams(
        dataset="d",
        kind="longtail",
        by="images",
        seed=seed,
        test_fraction=float(rng.choice([0.1, 0.5, 0.8])),
        val_fraction=float(rng.choice([0.0, 0.2])),
        imbalance=rng.choice([None, 1.0001, 2.0, 10.0, 100.0, 1e6]),
    )
    try:
        expected = slow_roles(manifest, params)
    except (UserError, ValueError):  # no label, or no training picture with one
        expected = {}
    if {"train", "test"} <= set(expected.values()):
        split = make_longtail(manifest, params)
        assert dict(zip(split["id"], split["role"], strict=True)) == expected
    else:
        with pytest.raises(UserError):
            make_longtail(manifest, params)


@pytest.mark.parametrize("seed", range(40))
def test_thinning_is_that_of_the_slow_code(seed):
    rng = np.random.default_rng(seed)
    pictures, classes = int(rng.integers(1, 400)), int(rng.integers(1, 40))
    table = rng.random((pictures, classes)) < rng.choice([0.02, 0.2, 0.7], size=classes)
    counts = table.sum(axis=0)
    for goal in (pareto_counts(counts, rng.choice([2.0, 50.0])), rng.integers(0, counts + 3)):
        assert thinning.thin(label_table_of(table), goal).tolist() == slow_thin(table, goal).tolist()


@pytest.mark.parametrize("seed", range(10))
def test_draws_are_those_of_the_slow_code(seed):
    manifest = random_manifest(np.random.default_rng(seed))
    classes = [f"l{k}" for k in range(30)]
    for fraction in (0.0, 0.3, 1.0):
        expected = slow_draw(manifest, classes, fraction, seed, "test")
        assert draw(manifest, classes, fraction, seed, "test").tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(10))
def test_tables_are_those_of_the_slow_code(seed):
    manifest = random_manifest(np.random.default_rng(seed))
    classes, chosen = [f"l{k}" for k in range(30)], manifest.iloc[::2]
    expected, found = slow_table(manifest, chosen, classes), label_table(manifest, chosen, classes)
    np.testing.assert_array_equal(multi_hot(manifest, chosen, classes), expected)
    assert found.counts.tolist() == expected.sum(axis=0).tolist()
    assert [rows.tolist() for rows in found.members] == [np.flatnonzero(one).tolist() for one in expected.T]
    pictures = np.flatnonzero(np.arange(len(found)) % 3 == 0)[::-1]
    columns, places = found.of(pictures)
    assert (places.tolist(), columns.tolist()) == tuple(
        part.tolist() for part in np.nonzero(expected[pictures])
    )
