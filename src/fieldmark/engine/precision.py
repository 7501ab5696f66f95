"""Losses are computed in full precision, whatever precision the network runs in."""

import torch
from torch import Tensor


def full_precision(values: Tensor) -> Tensor:
    """Raise half precision to float32; float32 and float64 stay as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
