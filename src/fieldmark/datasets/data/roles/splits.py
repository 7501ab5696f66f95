"""Splits as trainings read them: which picture plays which role in a task.

A split has one row per picture that takes part, in the order of the store, with the columns `id`, `row`, `role`,
`label` and `class_name`. In a long-tailed split, whose pictures have several labels, and in one of landmarks, whose
queries have lists, `label` is -1 and `class_name` is "". Roles are "train" and "test", or "train", "query" and
"gallery" (without "train" for landmarks); a long-tailed split also has "val", and so may the split that a source
brings.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
from pydantic import Field, model_validator

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.datasets.data.packed.manifest import read_table, write_table
from fieldmark.longtail.frequency import HEAD, TAIL

COLUMNS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # index in the image store
        pa.field("role", pa.string(), nullable=False),
        pa.field("label", pa.int64(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
    ]
)
# Of the copies of a picture in several roles, those of the first of these roles stay; the others are left out.
ROLES = ("test", "query", "gallery", "val", "train")
LONGTAIL = {"imbalance", "val_fraction", "head", "tail"}  # parameters of kind: longtail


class SplitParams(Block):
    """One item of `splits:`.

    `by` says what decides on the role of a picture.
    - "classes" (default for retrieval): the first `train_classes` of the sorted class names, a fraction or a number,
      are for training and the other classes for the test.
    - "source": the split that the source brings.
    - "images": `test_fraction` of the pictures of each class are the test, drawn with `seed`.
    The default for classification, dense and fewshot is "source" where the source has a split, else "images"; for
    landmarks "source" is the only one.

    `kind` is the task. "dense" is for work on masks: it takes every picture, with or without a class, and all of
    them count as one class. "fewshot" is the classification split of the same options with `shots` training
    pictures per class. "longtail" is for pictures with several labels. "landmarks" is for benchmarks whose queries
    list what they should find (ROxford5k, RParis6k); there is nothing to train on.

    `copies` says what becomes of pictures of equal content with several roles: "one_role" leaves out those whose role
    is nearer to training, "keep" leaves the published protocol as it is.

    `ks` are the k for which evaluation reports recall@k; they do not change the split.

    The others are for "longtail". With an `imbalance` training pictures are left out until the frequency of the
    classes falls by a power law and the first class is that many times as frequent as the last; None keeps all.
    `val_fraction` of the training pictures are for choosing thresholds. A class with at least `head` training
    pictures is of the head, one with fewer than `tail` of the tail, the others of the middle.
    """

    dataset: str
    kind: Literal["retrieval", "classification", "fewshot", "longtail", "dense", "landmarks"]
    by: Literal["classes", "source", "images"] | None = None
    seed: int = 0
    train_classes: int | float = 0.5
    test_fraction: float = Field(default=0.5, gt=0.0, lt=1.0)
    shots: int | None = Field(default=None, ge=1)
    copies: Literal["one_role", "keep"] = "one_role"
    ks: tuple[int, ...] = (1, 2, 4, 8)
    imbalance: float | None = Field(default=None, gt=1.0)
    val_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)
    head: int = Field(default=HEAD, ge=2)
    tail: int = Field(default=TAIL, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> "SplitParams":
        number = self.train_classes
        if not (0 < number < 1 if isinstance(number, float) else number >= 1):
            raise ValueError("train_classes must be a share between 0 and 1 or a whole number of classes")
        if (self.kind in ("retrieval", "landmarks") and self.by == "images") or (
            self.kind != "retrieval" and self.by == "classes"
        ):
            raise ValueError(f"by: {self.by} does not go with kind: {self.kind}")
        if (self.kind == "fewshot") != (self.shots is not None):
            raise ValueError("shots must be given for kind: fewshot, and only there")
        other = sorted(self.model_fields_set & LONGTAIL) if self.kind != "longtail" else []
        if other:
            raise ValueError(f"{other[0]} goes with kind: longtail only")
        if self.tail > self.head:
            raise ValueError(f"tail ({self.tail}) must not exceed head ({self.head})")
        return self


def chance(seed: int, key: str) -> float:
    """Return a number in [0, 1) that depends on `seed` and `key` alone, on any machine."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def write_split(split: pd.DataFrame, path: Path) -> None:
    """Write a split atomically as Parquet; the same rows give the same bytes."""
    write_table(split, COLUMNS, path)


def read_split(path: Path) -> pd.DataFrame:
    """Read a split. Raises UserError when it is absent or of another version."""
    frame: pd.DataFrame = read_table(path, COLUMNS, "run `split` first").to_pandas()
    return frame


def few_shot(split: pd.DataFrame, shots: int, seed: int) -> pd.DataFrame:
    """Return `split` with `shots` training pictures per class, drawn with `seed`; other roles are unchanged.

    More shots contain fewer: the pictures of 1 shot are among those of 5. Raises UserError when a class has
    fewer than `shots` training pictures.
    """
    train = split[split["role"] == "train"]
    counts = train["class_name"].value_counts()
    short = sorted(counts.index[counts < shots])
    if short:
        raise UserError(
            f"shots: {shots} is more than the training pictures of {len(short)} classes: {few_names(short)}"
        )
    order = train["id"].map(lambda key: chance(seed, key))
    rank = order.groupby(train["class_name"]).rank(method="first")
    return split.drop(index=train.index[rank > shots]).reset_index(drop=True)


def few_names(names: Any) -> str:
    """Return the first three names, as a message gives them."""
    names = list(names)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
