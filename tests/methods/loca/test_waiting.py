"""Neither a step nor predicting waits for the device: shown with tensors that lie on a GPU in name only."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.tiny import SIDE
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from fieldmark.engine.task import Task
from fieldmark.methods.loca import sinkhorn
from fieldmark.methods.loca.model import views
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.modes import MODES
from fieldmark.methods.loca.model.params import LocaParams

Make = Callable[..., LocaParams]


class NoWaiting(TorchDispatchMode):
    """Refuses copies between devices that the program waits for; to read a value of a fake tensor fails anyway."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and args[0].device != out.device:
            waits = not (kwargs or {}).get("non_blocking")
            assert not waits, f"the program waits for a copy of shape {tuple(out.shape)}"
        return out


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeTensorMode:
    def sampled(pictures: torch.Tensor, grid: torch.Tensor, **rest: Any) -> torch.Tensor:
        return pictures.new_empty((len(pictures), 3, *grid.shape[1:3]))

    monkeypatch.setattr(views, "grid_sample", sampled)  # the real one asks a library of the GPU
    return FakeTensorMode()


def on_gpu(method: Loca, mode: FakeTensorMode) -> Loca:
    """Replace every weight by a fake one on a GPU."""
    for module in method.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            fake_weight = mode.from_tensor(weight.detach())
            with mode:
                module.register_parameter(name, torch.nn.Parameter(fake_weight.cuda(), weight.requires_grad))
        for name, value in list(module.named_buffers(recurse=False)):
            fake_value = mode.from_tensor(value)
            with mode:
                module.register_buffer(name, fake_value.cuda())
    return method


@pytest.mark.parametrize("name", MODES)
def test_training_and_predicting_do_not_wait(
    params: Make, task: Task, fake: FakeTensorMode, name: str
) -> None:
    method = on_gpu(Loca.build(Loca.named(params(variants=[name]), name), task), fake)
    with fake, NoWaiting():
        images = torch.zeros(6, 3, SIDE, SIDE, dtype=torch.uint8, device="cuda")
        assert method.eval().embed(images).device.type == "cuda"
        if method.has_pretext:
            assert method.pretext(images, 0).correct.device.type == "cuda"
        if method.variant.trained:
            method.train().before_step(0)
            labels = torch.zeros(6, dtype=torch.long, device="cuda")
            assert method({"images": images, "labels": labels})["loss"].device.type == "cuda"
            method.after_step(0)


def test_waiting_would_be_seen(fake: FakeTensorMode) -> None:
    with fake, NoWaiting():
        with pytest.raises(DataDependentOutputException):
            sinkhorn(torch.ones(2, 3, device="cuda"))
        with pytest.raises(AssertionError, match="waits for a copy"):
            torch.ones(2).to("cuda")
        with pytest.raises(AssertionError, match="waits for a copy"):
            torch.ones(2, device="cuda").new_tensor([1.0, 2.0])
