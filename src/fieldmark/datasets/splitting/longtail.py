"""Long-tailed splits of pictures with several labels: published ones, or thinned by a Pareto distribution.

Long-tailed multi-label sets were introduced by Wu et al., Distribution-Balanced Loss for Multi-Label
Classification in Long-Tailed Datasets (ECCV 2020), who subsampled VOC and COCO after reference distributions
of Pareto type. Their lists come in with the sources `voc` and `coco`; here any multi-label set can be thinned.
"""

import logging
import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fieldmark.datasets.data.roles.multilabel import label_names, multi_hot
from fieldmark.datasets.data.roles.splits import SplitParams, chance
from fieldmark.datasets.splitting.splits import (
    by_source,
    few_names,
    in_columns,
    require_role,
    source_decides,
    without_leaks,
)

Mask = NDArray[np.bool_]
FACTOR, STEPS = 1.1, 20  # by which the goals of thinning are set farther apart, and how often
log = logging.getLogger(__name__)


def make_longtail(manifest: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Return the long-tailed split of `manifest` that `params` describes.

    The test is the source's own, or `test_fraction` of the pictures, drawn so that every class has its share.
    What is left is thinned to `imbalance`, and `val_fraction` of that becomes `val` where the source names
    none. Pictures of equal content never have two roles. Labels are -1: they are in the manifest.
    Raises UserError for a set without labels, and when no picture is left for train or test.
    """
    classes = label_names(manifest)
    frame = manifest[["id", "row", "split", "labels", "sha256"]].sort_values("row")
    frame["role"] = by_source(frame) if source_decides(frame, params) else _drawn(frame, classes, params)
    frame = without_leaks(frame).copy()
    if params.imbalance is not None:
        frame = _thinned(frame, classes, params.imbalance, params.seed)
    if params.val_fraction and not (frame["role"] == "val").any():
        train = frame[frame["role"] == "train"]
        chosen = draw(train, classes, params.val_fraction, params.seed, "val")
        frame.loc[train.index[chosen], "role"] = "val"
    require_role(frame["role"] == "train", "train", len(frame))
    require_role(frame["role"] == "test", "test", len(frame))
    _warn_of_untested(frame, classes)
    return in_columns(frame.assign(label=-1, class_name=""))


def draw(frame: pd.DataFrame, classes: list[str], fraction: float, seed: int, purpose: str) -> Mask:
    """Choose `fraction` of the pictures of every class, (N,): rare classes first, as far as they can agree.

    A picture counts for all of its classes; the rarest of them decides on it (iterative stratification,
    Sechidis et al., ECML 2011, with a seeded order in place of a random one). Copies of a picture go
    together, and a class with two pictures or more never gives all of them.
    """
    order = _order(frame["sha256"], seed, purpose)
    first = frame.iloc[order].drop_duplicates("sha256")
    table = multi_hot(frame, first, classes) > 0
    quota = np.minimum(np.round(fraction * table.sum(axis=0)), np.maximum(table.sum(axis=0) - 1, 0))
    chosen, decided = np.zeros(len(first), dtype=bool), np.zeros(len(first), dtype=bool)
    for one in np.argsort(table.sum(axis=0), kind="stable"):
        free = np.flatnonzero(table[:, one] & ~decided)
        missing = int(quota[one]) - int(chosen[table[:, one]].sum())
        chosen[free[: max(0, missing)]] = True
        decided[free] = True
    bare = np.flatnonzero(~decided)
    chosen[bare[: round(fraction * len(bare))]] = True
    return frame["sha256"].isin(first["sha256"][chosen]).to_numpy()


def pareto_counts(counts: NDArray[np.int64], imbalance: float) -> NDArray[np.int64]:
    """Return how many pictures each class is to keep, (C,), where it has `counts`.

    The class of rank r, by its pictures, keeps n_1 * r ** -a of the n_1 pictures of the first, with a such
    that the last of the classes that occur keeps n_1 / imbalance; never more than it has, and at least one.
    """
    present = np.flatnonzero(counts)
    ranked = present[np.argsort(-counts[present], kind="stable")]
    power = math.log(imbalance) / math.log(len(ranked)) if len(ranked) > 1 else 0.0
    wanted = counts.max() * np.arange(1, len(ranked) + 1) ** -power
    goal = np.zeros_like(counts)
    goal[ranked] = np.minimum(np.maximum(np.round(wanted), 1), counts[ranked])
    return goal


def thin(table: Mask, goal: NDArray[np.int64]) -> Mask:
    """Choose pictures, (N,), of `table` (N, C) so that every class has about `goal` (C,) of them, from the first.

    From the rarest class to the most frequent, pictures are added until the goal is met, none that would
    raise a class served before above its own. Where labels come in company that leaves the frequent classes
    short, so the more frequent half of them is then completed, with pictures whose other labels are passed
    by the smallest share; the rarer half still never passes its goal.
    """
    kept, served = np.zeros(len(table), dtype=bool), np.zeros(table.shape[1], dtype=bool)
    counts = np.zeros_like(goal)
    rank = np.argsort(goal, kind="stable")
    for one in rank:
        _add(table, kept, counts, goal, one, np.flatnonzero(table[:, one]), served)
        served[one] = True
    rarer = np.isin(np.arange(len(goal)), rank[: len(rank) // 2])
    share = table @ (1.0 / np.maximum(goal, 1))
    for one in rank[::-1][: len(rank) - len(rank) // 2]:
        free = np.flatnonzero(table[:, one])
        _add(table, kept, counts, goal, one, free[np.argsort(share[free], kind="stable")], rarer)
    return kept


def _add(
    table: Mask,
    kept: Mask,
    counts: NDArray[np.int64],
    goal: NDArray[np.int64],
    one: int,
    pictures: NDArray[np.int64],
    bound: Mask,
) -> None:
    """Keep pictures, in order, until class `one` meets its goal; no class of `bound` may pass its own."""
    for picture in pictures:
        if counts[one] >= goal[one]:
            return
        if not kept[picture] and not (table[picture] & bound & (counts >= goal)).any():
            kept[picture] = True
            counts += table[picture]


def _order(keys: pd.Series, seed: int, purpose: str) -> NDArray[np.int64]:
    return np.argsort([chance(seed, f"{purpose}/{key}") for key in keys], kind="stable")


def _drawn(frame: pd.DataFrame, classes: list[str], params: SplitParams) -> NDArray[np.str_]:
    return np.where(draw(frame, classes, params.test_fraction, params.seed, "test"), "test", "train")


def _thinned(frame: pd.DataFrame, classes: list[str], imbalance: float, seed: int) -> pd.DataFrame:
    """Leave out training pictures until the counts are `imbalance` apart; those without any label go first.

    Frequent classes that are seldom alone stay short of their goals, so the goals are set farther apart step
    by step until the pictures kept are `imbalance` apart, or as far as it goes.
    """
    train = frame[frame["role"] == "train"]
    train = train.iloc[_order(train["sha256"], seed, "thin")]
    table = multi_hot(frame, train, classes) > 0
    counts = table.sum(axis=0)
    present = counts > 0
    for step in range(STEPS):
        kept = thin(table, pareto_counts(counts, imbalance * FACTOR**step))
        left = table[kept].sum(axis=0)[present]
        if left.max() >= imbalance * left.min() or left.min() == 1:
            break
    return frame.drop(index=train.index[~kept])


def _warn_of_untested(frame: pd.DataFrame, classes: list[str]) -> None:
    tested = {name for labels in frame.loc[frame["role"] == "test", "labels"] for name in labels}
    trained = {name for labels in frame.loc[frame["role"] == "train", "labels"] for name in labels}
    for role, found in (("test", tested), ("train", trained)):
        missing = [name for name in classes if name not in found]
        if missing:
            log.warning("%d classes have no %s picture: %s", len(missing), role, few_names(missing))
