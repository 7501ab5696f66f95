"""Pictures with several labels: their classes in a fixed order, multi-hot rows, and how often each class occurs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fieldmark.base.errors import UserError

TRAINING = ("train", "val")  # `val` is a part of the training pictures


def label_names(manifest: pd.DataFrame) -> list[str]:
    """Return every label of a manifest, sorted. This is the order of the classes everywhere.

    Raises UserError when no picture has any label.
    """
    names = sorted({name for labels in manifest["labels"] for name in labels})
    if not names:
        raise UserError(
            "the data set has no picture with labels; a long-tailed split and its method need them"
        )
    return names


def multi_hot(manifest: pd.DataFrame, frame: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float32]:
    """Return the labels of the pictures of `frame` (any rows of a split), (N, C): 1 where a class is present.

    Columns follow `classes`, rows follow `frame`, whose `id` is looked up in the manifest. Raises UserError
    for a picture that the manifest lacks and for a label that is not among `classes`.
    """
    of_id = dict(zip(manifest["id"], manifest["labels"], strict=True))
    column = {name: index for index, name in enumerate(classes)}
    table = np.zeros((len(frame), len(classes)), dtype=np.float32)
    for row, key in enumerate(frame["id"]):
        if key not in of_id:
            raise UserError(f"the manifest has no picture '{key}'; run `split` again")
        for name in of_id[key]:
            if name not in column:
                raise UserError(f"picture '{key}' has the label '{name}', which is not among the classes")
            table[row, column[name]] = 1.0
    return table


def training_counts(manifest: pd.DataFrame, split: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return in how many training pictures (train and val) of a split each class is present, (C,)."""
    training = split[split["role"].isin(TRAINING)]
    counts: NDArray[np.int64] = multi_hot(manifest, training, classes).sum(axis=0).astype(np.int64)
    return counts


def has_several_labels(manifest: pd.DataFrame) -> bool:
    """Say whether the pictures of a manifest have lists of labels, not one class each."""
    return any(bool(labels) for labels in manifest["labels"])


def classes_of(manifest: pd.DataFrame) -> list[str]:
    """Return the classes of a manifest, sorted: its labels, or the class names of its pictures."""
    if has_several_labels(manifest):
        return label_names(manifest)
    return sorted(str(name) for name in manifest["class_name"].dropna().unique())
