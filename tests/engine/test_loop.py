"""The loop's parts: accumulation, clipping, averages, precision, and batches that the devices share."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.regression import Linear, regress

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.samplers import ShuffledSampler
from fieldmark.engine.loop import _batches, pick_precision
from fieldmark.engine.params import TrainParams
from fieldmark.runtime.params import RuntimeParams


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_accumulation_equals_the_whole_batch(tmp_path: Path) -> None:
    whole, parts = Linear(), Linear()
    regress(tmp_path, whole, "whole")
    regress(tmp_path, parts, "parts", accumulate=3)
    torch.testing.assert_close(parts.layer.weight, whole.layer.weight)
    assert torch.equal(torch.cat(parts.seen), torch.cat(whole.seen))


def test_every_epoch_visits_every_picture_once(tmp_path: Path) -> None:
    model = Linear()
    regress(tmp_path, model, steps=6)
    visits = torch.cat(model.seen).view(2, 18)
    assert all(sorted(epoch.tolist()) == list(range(18)) for epoch in visits)
    assert not torch.equal(visits[0], visits[1])


def test_a_batch_that_the_devices_cannot_share_is_refused() -> None:
    fabric: Any = SimpleNamespace(global_rank=0, world_size=4, device=torch.device("cpu"))
    params, data = TrainParams(steps=1, batch_size=6, lr=0.1), None
    with pytest.raises(
        UserError, match=r"6 cannot be cut into 4 processes x 1 parts: change .*runtime.devices"
    ):
        _batches(fabric, data, ShuffledSampler(18, 6, 0), params, RuntimeParams(), 0)  # type: ignore[arg-type]


def test_ema_weights_are_what_training_returns(tmp_path: Path) -> None:
    plain, averaged = Linear(), Linear()
    regress(tmp_path, plain, "plain")
    regress(tmp_path, averaged, "averaged", ema=0.99)
    start = Linear().layer.weight
    assert (averaged.layer.weight - start).norm() < 0.5 * (plain.layer.weight - start).norm()


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    model, start = Linear({0: 1e4}), Linear().layer.weight.detach().clone()
    regress(tmp_path, model, steps=1, clip_norm=0.5, momentum=0.0)
    assert float((model.layer.weight.detach() - start).norm()) <= 0.1 * 0.5 + 1e-6


@pytest.mark.parametrize(
    ("asked", "device", "processor", "expected"),
    [
        ("bf16", "cpu", "AVX512", "bf16"),
        ("bf16", "cpu", "AVX2", "fp32"),
        ("bf16", "cpu", "DEFAULT", "fp32"),
        ("bf16", "cuda", "AVX2", "bf16"),
        ("fp32", "cpu", "AVX512", "fp32"),
        ("fp32", "cuda", "AVX2", "fp32"),
    ],
)
def test_half_precision_where_the_hardware_has_it(
    monkeypatch: pytest.MonkeyPatch, asked: str, device: str, processor: str, expected: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    params = TrainParams.model_validate({"steps": 1, "batch_size": 2, "lr": 0.1, "precision": asked})
    assert pick_precision(params, device) == expected


def test_a_processor_that_emulates_bf16_trains_in_fp32_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX0")
    params = TrainParams.model_validate({"steps": 1, "batch_size": 2, "lr": 0.1, "precision": "bf16"})
    for _ in range(3):
        pick_precision(params, "cpu")
    message = "precision bf16 would be emulated on this processor (AVX0): training in fp32\n"
    assert capsys.readouterr().err == message
