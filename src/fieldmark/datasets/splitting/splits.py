"""Splits: which picture plays which role in a task. Pure functions from a manifest to a table.

What is drawn at random follows from a hash of the seed with the content or the id of a picture, so that a split
does not depend on the order of the rows.
"""

import logging

import pandas as pd

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.splits import COLUMNS, ROLES, SplitParams, chance, few_names, few_shot

ANY_CLASS = "picture"  # the class of every picture in a dense split
log = logging.getLogger(__name__)


def make_split(manifest: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Return the split of `manifest` that `params` describes.

    Pictures without a class take no part. Pictures of equal content have no two roles, unless `copies` is "keep": the
    copy that is nearer to training is left out. A class with a single test picture is left out of a retrieval test,
    where that picture could find nothing. Labels are indices among the sorted class names: in classification among
    all of them, in retrieval among those of train and among those of the test separately. Raises UserError when there
    is nothing to train on or to test on.
    """
    classless = params.kind == "dense"
    frame = _with_classes(manifest.assign(class_name=ANY_CLASS) if classless else manifest).sort_values("row")
    if params.kind == "retrieval":
        frame["role"] = by_source(frame) if params.by == "source" else _by_classes(frame, params)
        return _finish_retrieval(without_leaks(frame, params))
    frame["role"] = by_source(frame) if source_decides(frame, params) else _by_images(frame, params)
    split = _finish_classification(without_leaks(frame, params))
    return split if params.shots is None else few_shot(split, params.shots, params.seed)


def _with_classes(manifest: pd.DataFrame) -> pd.DataFrame:
    named = manifest["class_name"].notna()
    if not named.any():
        raise UserError("the data set names no classes; a split needs them")
    if not named.all():
        log.warning("%d pictures without a class take no part in the split", (~named).sum())
    return manifest.loc[named, ["id", "row", "class_name", "split", "sha256"]]


def _by_classes(frame: pd.DataFrame, params: SplitParams) -> pd.Series:
    if frame["split"].notna().all() and not _shared_classes(frame.assign(role=frame["split"])):
        log.info("the source brings a class-disjoint split of its own; `by: source` would use it")
    names = sorted(frame["class_name"].unique())
    wanted = params.train_classes  # a fraction or a number
    count = int(wanted * len(names) + 1e-9) if isinstance(wanted, float) else wanted
    train = frame["class_name"].isin(names[:count])
    return train.map({True: "train", False: "test"})


def by_source(frame: pd.DataFrame) -> pd.Series:
    """Return the roles that the source gives. Raises UserError when a picture has none."""
    missing = frame.loc[frame["split"].isna(), "id"].tolist()
    if missing:
        raise UserError(
            f"by: source, but {len(missing)} pictures have no split of their own: {few_names(missing)}"
        )
    return frame["split"]


def _by_images(frame: pd.DataFrame, params: SplitParams) -> pd.Series:
    """Draw the test by content within each class, so that copies of a picture stay together."""
    order = frame["sha256"].map(lambda key: chance(params.seed, key))
    by_class = order.groupby(frame["class_name"])
    contents = by_class.transform("nunique")
    tests = (contents * params.test_fraction).round().clip(upper=contents - 1)
    return (by_class.rank(method="dense") <= tests).map({True: "test", False: "train"})


def source_decides(frame: pd.DataFrame, params: SplitParams) -> bool:
    """Say whether the source gives the roles: as `by` says, or else where it gives one to every picture.

    Raises UserError when the source gives roles to some pictures only and `by` does not decide.
    """
    if params.by is not None:
        return params.by == "source"
    given = frame["split"].notna()
    if given.any() and not given.all():
        raise UserError(
            f"{(~given).sum()} of {len(frame)} pictures have no split of their own; complete it, "
            "or set by: images"
        )
    return bool(given.all())


def without_leaks(frame: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Leave out every copy of a picture whose role comes later in `ROLES` than that of another copy.

    With `copies: keep` they stay, and are logged.

    Raises UserError for an unknown role.
    """
    unknown = sorted(set(frame["role"]) - set(ROLES))
    if unknown:
        raise UserError(f"the source's split holds '{unknown[0]}'; it may hold {', '.join(sorted(ROLES))}")
    rank = frame["role"].map(ROLES.index)
    leaks = rank > rank.groupby(frame["sha256"]).transform("min")
    kept = params.copies == "keep"
    if leaks.any():
        what = "kept" if kept else "left out"
        log.warning(
            "%d copies of pictures in another role %s: %s", leaks.sum(), what, few_names(frame["id"][leaks])
        )
    return frame if kept else frame[~leaks]


def _finish_retrieval(frame: pd.DataFrame) -> pd.DataFrame:
    shared = _shared_classes(frame)
    if shared:
        raise UserError(
            "a retrieval split needs other classes in the test than in train, "
            f"but {len(shared)} are in both: {few_names(shared)}; set by: classes"
        )
    frame = _without_single_tests(frame)
    train = frame["role"] == "train"
    require_role(train, "train", len(frame))
    require_role(frame["role"].isin(["test", "gallery"]), "test or gallery", len(frame))
    names = frame["class_name"]
    frame["label"] = _labels(names.where(train)).where(train, _labels(names.mask(train)))
    return in_columns(frame)


def _finish_classification(frame: pd.DataFrame) -> pd.DataFrame:
    train = frame["role"] == "train"
    require_role(train, "train", len(frame))
    require_role(frame["role"] == "test", "test", len(frame))
    unseen = sorted(set(frame["class_name"][~train]) - set(frame["class_name"][train]))
    if unseen:
        raise UserError(
            f"{len(unseen)} test classes have no training picture: {few_names(unseen)}; set by: images to draw "
            "the test from every class"
        )
    frame["label"] = _labels(frame["class_name"])
    return in_columns(frame)


def _without_single_tests(frame: pd.DataFrame) -> pd.DataFrame:
    tests = frame.loc[frame["role"] == "test", "class_name"]
    counts = tests.value_counts()
    single = sorted(counts.index[counts == 1])
    if single:
        log.warning("%d test classes with a single picture left out: %s", len(single), few_names(single))
    return frame[~((frame["role"] == "test") & frame["class_name"].isin(single))].copy()


def _shared_classes(frame: pd.DataFrame) -> list[str]:
    train = frame["role"] == "train"
    return sorted(set(frame["class_name"][train]) & set(frame["class_name"][~train]))


def _labels(names: pd.Series) -> pd.Series:
    """Return the index of each name among the sorted names, -1 where there is none."""
    order = {name: index for index, name in enumerate(sorted(names.dropna().unique()))}
    return names.map(order).fillna(-1).astype("int64")


def require_role(chosen: pd.Series, role: str, pictures: int) -> None:
    """Raise UserError when no picture of `pictures` was chosen for a role."""
    if not chosen.any():
        raise UserError(f"the split leaves no picture of {pictures} for {role}; change its parameters")


def in_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the columns of a split and a new index."""
    return frame[list(COLUMNS.names)].reset_index(drop=True)
