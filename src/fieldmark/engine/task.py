"""What a stage hands to whatever is trained or scored: opened data, and where everything else lies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.datasets.data.batches.loading import Batch, PictureDataset
from fieldmark.datasets.data.batches.transforms import ImageParams, evaluation_transform
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.multilabel import multi_hot
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.engine.checkpoint import CheckpointFolder, StateKey
from fieldmark.runtime.inference import run_dataset
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import Backbone, load_backbone


@dataclass(frozen=True)
class Subset:
    """The pictures of some roles of a split."""

    frame: pd.DataFrame

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows in the image store, (N,)."""
        return self.frame["row"].to_numpy(np.int64)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class indices, (N,), contiguous from 0 within the split's label space."""
        return self.frame["label"].to_numpy(np.int64)

    @property
    def class_names(self) -> list[str]:
        """Class names by label."""
        ordered = self.frame.drop_duplicates("label").sort_values("label")
        return [str(name) for name in ordered["class_name"]]

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Task:
    """The pictures of a split, and where backbone, text and training curves lie."""

    store: ImageStore
    manifest: pd.DataFrame
    split: pd.DataFrame
    split_params: SplitParams
    backbone: Path
    text: Path  # phrases or prompts that an earlier stage made; not read by a method of pictures alone
    history: Path  # training curves, for evaluation
    runtime: RuntimeParams
    states: StateKey  # what mid-training states belong to
    judged: "Judged | None" = None  # where features are judged; None: on these pictures

    def subset(self, *roles: str) -> Subset:
        """Return the pictures whose role is one of `roles`, in the order of the split."""
        return Subset(self.split[self.split["role"].isin(roles)].reset_index(drop=True))

    def with_split(self, split: pd.DataFrame) -> "Task":
        """Return the same task with another split: other pictures, or other roles for them."""
        return replace(self, split=split)

    def targets(self, subset: Subset, classes: Sequence[str]) -> NDArray[np.float32]:
        """Return the labels of pictures that may have several, (N, C) of 0 and 1; columns follow `classes`."""
        return multi_hot(self.manifest, subset.frame, classes)

    def load_backbone(self) -> Backbone:
        """Load the backbone anew; every variant starts from the same weights."""
        return load_backbone(self.backbone)

    def checkpoints(self, run: str, *depends: Any) -> CheckpointFolder:
        """Return where the states of `run` lie; a state of other parameters, data or code is not used.

        `depends` is what else its result depends on, beside the parameters and files that the stage named.
        """
        return self.states.folder(run, depends)

    def run(
        self,
        model: nn.Module,
        function: Callable[[Tensor], Tensor],
        subset: Subset,
        images: ImageParams,
        desc: str,
    ) -> Tensor:
        """Apply `function` (images (B, 3, H, W) -> (B, D)) to the pictures of `subset`; return (N, D) on the CPU.

        `model` is what `function` uses: it is put on the task's device and in eval mode.
        """
        return self.run_batches(model, lambda batch: function(batch["images"]), subset, images, desc)

    def run_batches(
        self,
        model: nn.Module,
        function: Callable[[Batch], Tensor],
        subset: Subset,
        images: ImageParams,
        desc: str,
    ) -> Tensor:
        """Apply `function` to every batch of `subset` in order; return its rows, joined, as float32 on the CPU.

        A batch holds `images`, `labels` and `indices` (positions within `subset`) on the task's device.
        """
        dataset = PictureDataset(self.store, subset.rows, subset.labels, evaluation_transform(images))
        return run_dataset(model, function, dataset, self.runtime, desc)


@dataclass(frozen=True)
class Judged:
    """Where the features of a method are judged: the `task` of these pictures, and backbones to judge beside.

    `backbones` are folders by name.
    """

    task: Task
    backbones: Mapping[str, Path]
