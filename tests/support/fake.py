"""Models on a GPU that is not there: fake tensors have a shape and a device, and no values."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = "cuda"
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
INDEXING = (
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
)


class Waits(Exception):  # noqa: N818
    """A step that the processor spends waiting for the device."""


class NoWaiting(TorchDispatchMode):
    """Refuses copies between devices that are waited for. To read a value of a fake tensor fails by itself."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `func`, then see whether it copied, and whether an index had to be copied."""
        out = func(*args, **(kwargs or {}))
        if func in COPIES:
            source = args[1] if func is COPIES[1] else args[0]
            waited = out.device.type == "cpu" or not ((kwargs or {}).get("non_blocking") or args[2:])
            if source.device != out.device and waited:
                raise Waits(f"a copy of shape {tuple(out.shape)} from {source.device} to {out.device}")
        if func in INDEXING:
            left = [index for index in args[1] if index is not None and index.device != args[0].device]
            if left:
                raise Waits(f"an index on {left[0].device} into a tensor on {args[0].device}")
        return out


@contextmanager
def on_fake_device(module: nn.Module) -> Iterator[None]:
    """Put what the loop would move, parameters and buffers, on a fake GPU for good; the block must never wait.

    Without cuDNN: LSTMs and `grid_sample` ask that library for more than shapes.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode, torch.backends.cudnn.flags(enabled=False):
        _move(module, mode)
        with NoWaiting():
            yield


def _move(module: nn.Module, mode: FakeTensorMode) -> None:
    for part in module.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            moved = mode.from_tensor(weight.detach()).to(DEVICE)
            part.register_parameter(name, nn.Parameter(moved, weight.requires_grad))
        for name, value in list(part.named_buffers(recurse=False)):
            persistent = name not in part._non_persistent_buffers_set
            part.register_buffer(name, mode.from_tensor(value).to(DEVICE), persistent)


def fake_batch(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch of the same shapes on the fake GPU."""
    return {name: torch.empty(value.shape, dtype=value.dtype, device=DEVICE) for name, value in batch.items()}
