"""What makes training faster on GPUs and rounds in another way: asked for by the recipe."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def tf32(allowed: bool, device: torch.device) -> Iterator[None]:
    """Let matrix products of fp32 run in TF32 on CUDA; afterwards they run as before.

    For convolutions PyTorch allows it by itself.
    """
    if not allowed or device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def to_channels_last(module: nn.Module) -> None:
    """Keep the kernels of convolutions (O, I, H, W) with channels last; outputs then follow, and values are equal."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def compiled(module: nn.Module) -> nn.Module:
    """Return what runs the module by torch.compile; it shares the module's weights."""
    made = torch.compile(module)
    assert isinstance(made, nn.Module)
    return made


def is_fused(asked: bool, device: torch.device) -> bool | None:
    """Return what an optimiser takes as `fused`: one kernel for all weights, on CUDA alone; None: as usual."""
    return True if asked and device.type == "cuda" else None
