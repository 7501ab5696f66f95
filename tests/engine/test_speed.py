"""The training options that make a GPU faster: off by default, wired to the loop, refused where they are no switch."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import SIDE, make_task, tiny_resnet
from torch import nn

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.engine import loop
from fieldmark.engine.loop import Stepper
from fieldmark.engine.params import TrainRecipe
from fieldmark.engine.training import train_on
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import save_backbone

OPTIONS = ("compile", "fused", "tf32", "channels_last")


def trained(folder: Path, device: str = "cpu", steps: int = 4, **options: bool) -> Irt:
    """Train a tiny residual network for retrieval."""
    train = {"steps": steps, "batch_size": 6, "images_per_class": 2, "lr": 1e-3, **options}
    block = {"pooling": "average", "images": {"side": SIDE}, "train": train}
    task = make_task(folder)
    save_backbone(tiny_resnet(), task.backbone)
    task = dataclasses.replace(task, runtime=RuntimeParams(device=device, workers=1))
    torch.manual_seed(0)
    method = Irt.build(Irt.named(parse(IrtParams, block, "irt"), "R"), task)
    train_on(method, method.params.images, method.params.seeded, task, "irt/R")
    return method.cpu()


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def differences(one: nn.Module, other: nn.Module) -> float:
    """Return the largest difference of any weight."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs if isinstance(a, torch.Tensor) and a.numel())


def test_all_are_off_and_switches() -> None:
    recipe = {"steps": 1, "lr": 1}
    assert [getattr(parse(TrainRecipe, recipe, "irt.train"), name) for name in OPTIONS] == [False] * 4
    for name in OPTIONS:
        with pytest.raises(UserError, match=rf"^parameter irt\.train\.{name}"):
            parse(TrainRecipe, {**recipe, name: "always"}, "irt.train")


def test_on_the_cpu_what_is_for_cuda_changes_nothing(tmp_path: Path) -> None:
    plain = trained(tmp_path / "a")
    assert differences(plain, trained(tmp_path / "b", fused=True, tf32=True)) == 0.0
    assert differences(plain, trained(tmp_path / "c", channels_last=True)) < 1e-4


def test_the_loop_compiles_where_it_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[nn.Module] = []

    def compiled(module: nn.Module) -> nn.Module:
        seen.append(module)
        return module

    monkeypatch.setattr(loop, "compiled", compiled)
    trained(tmp_path / "a", steps=1)
    assert seen == []
    method = trained(tmp_path / "b", steps=1, compile=True)
    assert seen == [method]


@pytest.mark.slow
def test_compiled_training_ends_near_the_plain_one(tmp_path: Path) -> None:
    assert differences(trained(tmp_path / "a"), trained(tmp_path / "b", compile=True)) < 5e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", OPTIONS)
def test_on_cuda_each_ends_near_the_plain_one(tmp_path: Path, name: str) -> None:
    plain = trained(tmp_path / "a", "cuda")
    options: dict[str, Any] = {name: True}
    assert differences(plain, trained(tmp_path / "b", "cuda", **options)) < 5e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_the_optimiser_is_fused_where_it_is_asked(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    for fused in (False, True):
        train = {"steps": 1, "lr": 1e-3, "fused": fused}
        params = parse(IrtParams, {"images": {"side": SIDE}, "train": train}, "irt")
        method = Irt.build(Irt.named(params, "R"), task)
        stepper = Stepper(method, params.seeded, RuntimeParams(device="cuda"))
        assert {bool(group["fused"]) for group in stepper.optimizer.param_groups} == {fused}
