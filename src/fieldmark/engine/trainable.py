"""The contract between what is trained and the loop: what the loop may ask for, and all that it knows."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Self

from torch import Tensor, nn

from fieldmark.datasets.data.batches.loading import Batch
from fieldmark.datasets.data.batches.samplers import Sampler
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.runtime.sharding import Sharding
from fieldmark.vision.backbones import Backbone
from fieldmark.vision.libraries import Features

Losses = dict[str, Tensor]
FEATURES = tuple(field.name for field in fields(Features))
NO_DECAY_NAMES = ("pos_embed", "cls_token", "dist_token")


@dataclass
class ParameterGroup:
    """Parameters that share a weight decay and a multiple of the learning rate."""

    params: list[nn.Parameter]
    weight_decay: float
    lr_scale: float = 1.0


class Trainable(nn.Module, ABC):
    """All that the loop knows of a model: its losses, its parameter groups and two hooks."""

    sharding: Sharding | None = None  # while it is trained with its weights cut over the processes

    @abstractmethod
    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Turn a batch into named losses; "loss" is their sum and is minimised."""

    def feature_source(self) -> Backbone | None:
        """Return the frozen backbone whose features a batch may carry; None where a step has to see pictures.

        No gradient may pass into it, and the pictures must reach it as they are loaded: see `features_of`.
        """
        return None

    @property
    def sees_pictures(self) -> bool:
        """Whether a batch must carry pictures: beside the features of `feature_source`, or where it has none."""
        return self.feature_source() is None

    def own_sampler(self, task: Task) -> Sampler | None:
        """Return the sampler of a method that chooses its batches itself; None: they are as its recipe says."""
        return None

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        """Return the modules that are trained, each with its multiple of the learning rate."""
        return [(self, 1.0)]

    def frozen(self) -> Iterable[nn.Module]:
        """Return the modules that stay in eval mode during training, their BatchNorms too."""
        return []

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Return the trained parameters: matrices decay, vectors (biases, norms, tokens) do not."""
        return [
            group
            for module, scale in self.rates()
            for group in decay_groups(module, params.weight_decay, scale)
        ]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of every module but the frozen ones."""
        super().train(mode)
        for module in self.frozen():
            module.eval()
        return self

    def whole(self) -> AbstractContextManager[None]:
        """Have all weights whole meanwhile, to be read; where they are cut, every process must call this."""
        return self.sharding.whole() if self.sharding else nullcontext()

    def put_together(self) -> None:
        """Have all weights whole from now on; where they are cut, every process must call this."""
        if self.sharding:
            self.sharding.undo()
            self.sharding = None

    def before_step(self, step: int) -> None:
        """Act before optimiser step `step`, counted from 0."""

    def after_step(self, step: int) -> None:
        """Act after optimiser step `step` (a momentum encoder moves here)."""


def features_of(backbone: Backbone, batch: Batch) -> Features:
    """Return the features that a batch carries; computed by `backbone` from its pictures where it carries none."""
    carried = {name: batch[name] for name in FEATURES if name in batch}
    if carried:
        return Features(**carried)
    computed: Features = backbone(batch["images"])
    return computed


def decay_groups(module: nn.Module, weight_decay: float, lr_scale: float = 1.0) -> list[ParameterGroup]:
    """Split trainable parameters: weight decay for matrices and kernels, none for vectors and tokens."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            exempt = parameter.ndim <= 1 or name.endswith(NO_DECAY_NAMES)
            (plain if exempt else decayed).append(parameter)
    groups = [ParameterGroup(decayed, weight_decay, lr_scale), ParameterGroup(plain, 0.0, lr_scale)]
    return [group for group in groups if group.params]
