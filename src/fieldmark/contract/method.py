"""The contract between a method and the loop: what the loop may ask, and all that it knows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.base.blocks import Block
from fieldmark.datasets.data.store import ImageStore
from fieldmark.datasets.data.transforms import ImageParams
from fieldmark.engine.params import RuntimeParams, TrainParams
from fieldmark.vision.backbones import Backbone, load_backbone

Losses = dict[str, Tensor]
SNAPSHOTS = "snapshots"  # the folder, in a model's own, of its earlier states


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
    """What a stage hands to a method: opened data and where the backbone lies."""

    store: ImageStore
    manifest: pd.DataFrame
    split: pd.DataFrame
    ks: tuple[int, ...]  # recall@k is reported for these
    backbone: Path
    text: Path  # phrases or prompts that the stage before made; meaningless for a method of pictures alone
    history: Path  # training curves, for evaluation
    runtime: RuntimeParams
    head: int = 100  # training pictures from which on a class is of the head of a long-tailed split
    tail: int = 20  # and below which it is of the tail

    def subset(self, *roles: str) -> Subset:
        """Return the pictures whose role is one of `roles`, in the order of the split."""
        return Subset(self.split[self.split["role"].isin(roles)].reset_index(drop=True))

    def load_backbone(self) -> Backbone:
        """Load the backbone anew; every variant starts from the same weights."""
        return load_backbone(self.backbone)


class MethodParams(Block):
    """What the loop reads of a method's block; each method adds its own."""

    images: ImageParams
    train: TrainParams

    @property
    def loaded(self) -> ImageParams:
        """How its pictures are loaded: as the network takes them, unless the method makes those from finer ones."""
        return self.images

    def unmet(self, text: str, item: Mapping[str, Any]) -> str | None:
        """Say in one line why the text of its wiring, with the parameters `item`, will not do; None when it will."""
        return None


@dataclass
class ParameterGroup:
    """Parameters that share a weight decay and a multiple of the learning rate."""

    params: list[nn.Parameter]
    weight_decay: float
    lr_scale: float = 1.0


class Trainable(nn.Module, ABC):
    """All that the loop knows of a model: its losses, its parameter groups and two hooks."""

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Turn a batch into named losses; "loss" is their sum and is minimised."""

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Return the trained parameters: matrices decay, vectors (biases, norms, tokens) do not."""
        return decay_groups(self, params.weight_decay)

    def before_step(self, step: int) -> None:
        """Act before optimiser step `step`, counted from 0."""

    def after_step(self, step: int) -> None:
        """Act after optimiser step `step` (a momentum encoder moves here)."""


class Method(Trainable):
    """A published method: a model that can also be built from its block, saved and loaded.

    `fieldmark.methods.<name>.model` exports the class as METHOD; `fieldmark.methods.<name>.evaluation` exports
    `evaluate(models, params, task, figures)`, which scores the trained variants, writes figures and returns
    the content of `reports/metrics/<name>.json`. The two are apart so that a new figure retrains nothing.
    """

    Params: ClassVar[type[MethodParams]]
    title: ClassVar[str]
    params: Any  # an instance of Params

    @classmethod
    @abstractmethod
    def variants(cls, params: Any) -> Mapping[str, Any]:
        """Name the models this block asks for, each with its own params; zero steps: not trained."""

    @classmethod
    def training_task(cls, params: Any, task: Task) -> Task:
        """Return the task that a variant is built and trained on (fewer pictures per class, for instance)."""
        return task

    @classmethod
    @abstractmethod
    def build(cls, params: Any, task: Task) -> Self:
        """Build the model that training starts from."""

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """After how many steps a copy of the model is kept beside it, to be scored later."""
        return ()

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what inference needs into an existing folder."""

    @classmethod
    @abstractmethod
    def load(cls, params: Any, folder: Path) -> Self:
        """Read a model that `save` wrote."""

    def finish(self, task: Task) -> None:
        """Act once after the last step, with the final weights (a PCA is fitted here)."""


NO_DECAY_NAMES = ("pos_embed", "cls_token", "dist_token")


def decay_groups(module: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """Split trainable parameters: weight decay for matrices and kernels, none for vectors and tokens."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            exempt = parameter.ndim <= 1 or name.endswith(NO_DECAY_NAMES)
            (plain if exempt else decayed).append(parameter)
    groups = [ParameterGroup(decayed, weight_decay), ParameterGroup(plain, 0.0)]
    return [group for group in groups if group.params]
