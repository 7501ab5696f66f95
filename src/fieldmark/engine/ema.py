"""Exponential moving averages of weights."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


@torch.no_grad()
def move_towards(target: nn.Module, source: nn.Module, decay: float) -> None:
    """target <- decay * target + (1 - decay) * source for parameters; buffers are copied."""
    for old, new in zip(target.parameters(), source.parameters(), strict=True):
        old.lerp_(new.detach(), 1.0 - decay)
    for kept, current in zip(target.buffers(), source.buffers(), strict=True):
        kept.copy_(current)


class EmaWeights:
    """The exponential moving average (ema) of a module's trainable parameters and floating-point buffers.

    Buffers belong to it so that the ema of the weights meets the BatchNorm statistics of the same steps.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.shadow = {name: value.detach().clone() for name, value in self._moving()}

    def _moving(self) -> Iterator[tuple[str, Tensor]]:
        yield from ((name, value) for name, value in self.module.named_parameters() if value.requires_grad)
        yield from ((name, value) for name, value in self.module.named_buffers() if value.is_floating_point())

    @torch.no_grad()
    def update(self) -> None:
        """Move the ema by one step."""
        for name, value in self._moving():
            self.shadow[name].lerp_(value.detach(), 1.0 - self.decay)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """Replace the module's parameters and buffers by their ema."""
        for name, value in self._moving():
            value.copy_(self.shadow[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Return the ema of each parameter and buffer by name."""
        return dict(self.shadow)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        for name, value in state.items():
            self.shadow[name].copy_(value)
