"""The contract between what is trained and the loop: what the loop may ask for, and all that it knows."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from fieldmark.engine.params import TrainParams

Losses = dict[str, Tensor]
NO_DECAY_NAMES = ("pos_embed", "cls_token", "dist_token")


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

    def before_step(self, step: int) -> None:
        """Act before optimiser step `step`, counted from 0."""

    def after_step(self, step: int) -> None:
        """Act after optimiser step `step` (a momentum encoder moves here)."""


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
