"""Which device a stage runs on."""

import torch
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.runtime.params import RuntimeParams


def pick_device(runtime: RuntimeParams) -> str:
    """Return the device to use: cuda, mps or cpu. Raises UserError for one that this machine does not have."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if runtime.device == "auto":
        return next(name for name, there in available.items() if there)
    if not available[runtime.device]:
        raise UserError(f"runtime.device is {runtime.device}, which this machine lacks; use auto or cpu")
    return runtime.device


def moved(values: Tensor, device: torch.device) -> Tensor:
    """Copy values to a device. Plain `to` would wait for a GPU to finish; a copy to MPS must be waited for."""
    return values.to(device, non_blocking=device.type not in ("cpu", "mps"))
