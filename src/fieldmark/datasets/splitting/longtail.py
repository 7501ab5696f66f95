"""Long-tailed splits of pictures with several labels: as the source has it, or thinned by a Pareto distribution.

Long-tailed multi-label sets were introduced by Wu et al., Distribution-Balanced Loss for Multi-Label
Classification in Long-Tailed Datasets (ECCV 2020), who subsampled VOC and COCO after reference distributions
of Pareto type. Their lists come in with the sources `voc` and `coco`; here any multi-label set can be thinned.
"""

import logging
import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fieldmark.datasets.data.roles.multilabel import label_names, label_table
from fieldmark.datasets.data.roles.splits import SplitParams, chance, few_names
from fieldmark.datasets.splitting.splits import (
    by_source,
    in_columns,
    require_role,
    source_decides,
    without_leaks,
)
from fieldmark.datasets.splitting.thinning import Mask, thin

FACTOR = 1.1  # each step of thinning multiplies the wanted imbalance by it
STEPS = 20  # at most
log = logging.getLogger(__name__)


def make_longtail(manifest: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Return the long-tailed split of `manifest` that `params` describes.

    The test is that of the source, or `test_fraction` of the pictures of every class. The other pictures are thinned
    to `imbalance`; then `val_fraction` of them become `val`, unless the source names such pictures. Pictures of
    equal content never have two roles. Labels are -1: they are in the manifest. Raises UserError for a set without
    labels, and when no picture is left for train or test.
    """
    classes = label_names(manifest)
    frame = manifest[["id", "row", "split", "labels", "sha256"]].sort_values("row")
    frame["role"] = by_source(frame) if source_decides(frame, params) else _drawn(frame, classes, params)
    frame = without_leaks(frame, params).copy()
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
    """Choose `fraction` of the pictures of every class as nearly as possible; return a mask (N,).

    A picture counts for all of its classes, and the rarest of them decides on it (iterative stratification,
    Sechidis et al., ECML 2011, with a seeded order instead of a random one). Copies of a picture are chosen
    together, and of a class with two or more pictures at least one is not chosen.
    """
    order = _order(frame["sha256"], seed, purpose)
    first = frame.iloc[order].drop_duplicates("sha256")
    table = label_table(frame, first, classes)
    quota = np.minimum(np.round(fraction * table.counts), np.maximum(table.counts - 1, 0))
    chosen, decided = np.zeros(len(first), dtype=bool), np.zeros(len(first), dtype=bool)
    for label in np.argsort(table.counts, kind="stable"):
        members = table.members[label]
        free = members[~decided[members]]
        missing = int(quota[label]) - int(chosen[members].sum())
        chosen[free[: max(0, missing)]] = True
        decided[free] = True
    bare = np.flatnonzero(~decided)
    chosen[bare[: round(fraction * len(bare))]] = True
    return frame["sha256"].isin(first["sha256"][chosen]).to_numpy()


def pareto_counts(counts: NDArray[np.int64], imbalance: float) -> NDArray[np.int64]:
    """Return how many pictures each class is to keep, (C,), where it has `counts`.

    The classes that occur are ranked by their number of pictures; the first has n_1. The class of rank r keeps
    n_1 * r ** -a pictures, where a is chosen so that the last class keeps n_1 / imbalance. No class keeps more
    pictures than it has, and each keeps at least one.
    """
    present = np.flatnonzero(counts)
    ranked = present[np.argsort(-counts[present], kind="stable")]
    power = math.log(imbalance) / math.log(len(ranked)) if len(ranked) > 1 else 0.0
    wanted = counts.max() * np.arange(1, len(ranked) + 1) ** -power
    goal = np.zeros_like(counts)
    goal[ranked] = np.minimum(np.maximum(np.round(wanted), 1), counts[ranked])
    return goal


def _order(keys: pd.Series, seed: int, purpose: str) -> NDArray[np.int64]:
    return np.argsort([chance(seed, f"{purpose}/{key}") for key in keys], kind="stable")


def _drawn(frame: pd.DataFrame, classes: list[str], params: SplitParams) -> NDArray[np.str_]:
    return np.where(draw(frame, classes, params.test_fraction, params.seed, "test"), "test", "train")


def _thinned(frame: pd.DataFrame, classes: list[str], imbalance: float, seed: int) -> pd.DataFrame:
    """Leave out training pictures until the counts are `imbalance` apart; those without any label go first.

    Frequent classes that seldom occur alone stay short of their goals. So the wanted imbalance is raised step by
    step until the kept pictures reach `imbalance`, or until the rarest class has one picture left.
    """
    train = frame[frame["role"] == "train"]
    train = train.iloc[_order(train["sha256"], seed, "thin")]
    table = label_table(frame, train, classes)
    for step in range(STEPS):
        kept = thin(table, pareto_counts(table.counts, imbalance * FACTOR**step))
        left = np.bincount(table.columns[kept[table.rows]], minlength=len(classes))[table.counts > 0]
        if not left.size or left.max() >= imbalance * left.min() or left.min() == 1:
            break
    return frame.drop(index=train.index[~kept])


def _warn_of_untested(frame: pd.DataFrame, classes: list[str]) -> None:
    tested = {name for labels in frame.loc[frame["role"] == "test", "labels"] for name in labels}
    trained = {name for labels in frame.loc[frame["role"] == "train", "labels"] for name in labels}
    for role, present in (("test", tested), ("train", trained)):
        missing = [name for name in classes if name not in present]
        if missing:
            log.warning("%d classes have no %s picture: %s", len(missing), role, few_names(missing))
