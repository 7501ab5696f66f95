"""Pictures with several labels: their classes in a fixed order, tables of them, and how often each class occurs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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


@dataclass(frozen=True)
class LabelTable:
    """Which of C classes each of N pictures shows, without a zero for every class that it does not show.

    Picture n shows the classes `columns[starts[n] : starts[n + 1]]`, each once and in ascending order; `starts` is
    (N + 1,). A million pictures of a few labels each take megabytes, where multi-hot rows would take gigabytes.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    classes: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The picture of each of `columns`."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How many pictures show each class, (C,)."""
        return np.bincount(self.columns, minlength=self.classes)

    @cached_property
    def members(self) -> list[NDArray[np.int64]]:
        """The pictures of each class, in ascending order."""
        by_class = self.rows[np.argsort(self.columns, kind="stable")]
        return np.split(by_class, np.cumsum(self.counts)[:-1])

    def of(self, pictures: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the classes that some pictures show, one after the other, and at which place in `pictures` each is."""
        lengths = self.starts[pictures + 1] - self.starts[pictures]
        places = np.repeat(np.arange(len(pictures)), lengths)
        before = self.starts[pictures] - (np.cumsum(lengths) - lengths)
        return self.columns[np.arange(len(places)) + before[places]], places


def label_table(manifest: pd.DataFrame, frame: pd.DataFrame, classes: Sequence[str]) -> LabelTable:
    """Return the labels of the pictures of `frame` (any rows of a split), whose `id` is looked up in the manifest.

    Columns follow `classes`, rows follow `frame`. Raises UserError for a picture that the manifest lacks and for a
    label that is not among `classes`.
    """
    of_id = dict(zip(manifest["id"], manifest["labels"], strict=True))
    column = {name: index for index, name in enumerate(classes)}
    columns: list[int] = []
    starts = np.zeros(len(frame) + 1, dtype=np.int64)
    for row, key in enumerate(frame["id"]):
        columns += _columns(key, of_id, column)
        starts[row + 1] = len(columns)
    return LabelTable(starts, np.array(columns, dtype=np.int64), len(classes))


def multi_hot(manifest: pd.DataFrame, frame: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float32]:
    """Return the labels of the pictures of `frame`, (N, C): 1 where a class is present; see `label_table`."""
    present = label_table(manifest, frame, classes)
    table = np.zeros((len(frame), len(classes)), dtype=np.float32)
    table[present.rows, present.columns] = 1.0
    return table


def training_counts(manifest: pd.DataFrame, split: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return in how many training pictures (train and val) of a split each class is present, (C,)."""
    return label_table(manifest, split[split["role"].isin(TRAINING)], classes).counts


def has_several_labels(manifest: pd.DataFrame) -> bool:
    """Say whether the pictures of a manifest have lists of labels, not one class each."""
    return any(bool(labels) for labels in manifest["labels"])


def classes_of(manifest: pd.DataFrame) -> list[str]:
    """Return the classes of a manifest, sorted: its labels, or the class names of its pictures."""
    if has_several_labels(manifest):
        return label_names(manifest)
    return sorted(str(name) for name in manifest["class_name"].dropna().unique())


def _columns(key: str, of_id: Mapping[str, Any], column: Mapping[str, int]) -> list[int]:
    """Return the columns of the labels of a picture, each once, in ascending order."""
    if key not in of_id:
        raise UserError(f"the manifest has no picture '{key}'; run `split` again")
    for name in of_id[key]:
        if name not in column:
            raise UserError(f"picture '{key}' has the label '{name}', which is not among the classes")
    return sorted({column[name] for name in of_id[key]})
