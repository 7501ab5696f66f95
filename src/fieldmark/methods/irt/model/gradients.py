"""How much the gradients of a batch differ from one another, averaged over training."""

from typing import Any

import torch
from torch import Tensor, nn


def gradient_spread(loss: Tensor, embeddings: Tensor) -> Tensor:
    """Return gamma of IRT's Figure 4: the nuclear norm of the covariance of the gradients with regard to the rows.

    `embeddings` (N, D) are what `loss` was computed from. A covariance has no negative eigenvalue: its nuclear norm is
    its trace, the sum over dimensions of the variance over the batch. Returns a scalar without gradient.
    """
    [gradients] = torch.autograd.grad(loss, embeddings, retain_graph=True)
    return gradients.float().var(dim=0, unbiased=False).sum()


class MeanOverSteps(nn.Module):
    """The mean of what was seen in each training step; a resumed training goes on with it. No moving average of weights
    touches it, for it is no buffer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self._sum: Tensor | float = 0.0

    def see(self, value: Tensor) -> None:
        """Count one value, a scalar; it is not read from the device."""
        self._sum, self.steps = self._sum + value.detach().float(), self.steps + 1

    @property
    def mean(self) -> float | None:
        """The mean so far; None before the first step."""
        return float(self._sum) / self.steps if self.steps else None

    def get_extra_state(self) -> dict[str, float]:
        """Return what was seen, for `state_dict`."""
        return {"sum": float(self._sum), "steps": self.steps}

    def set_extra_state(self, state: Any) -> None:
        """Go on from a saved state."""
        self._sum, self.steps = state["sum"], int(state["steps"])
