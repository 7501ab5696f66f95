"""The loop's parts: schedules, accumulation, clipping, averages, failing runs."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.tiny import SIDE, make_task
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.samplers import ShuffledSampler
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.ema import AveragedWeights, move_towards
from fieldmark.engine.loop import _batches, pick_precision
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.params import TrainParams
from fieldmark.engine.schedule import learning_rate
from fieldmark.engine.trainable import Losses, Trainable, decay_groups
from fieldmark.engine.training import train_on
from fieldmark.figures.curves import read_curves
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.params import RuntimeParams


class Linear(Trainable):
    """Regresses the label from the mean colour; `spoil` turns its loss into something else at a step."""

    def __init__(self, spoil: dict[int, float] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.spoil, self.now = nn.Linear(3, 1), spoil or {}, 0
        self.seen: list[Tensor] = []

    def before_step(self, step: int) -> None:
        self.now = step

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        self.seen.append(batch["indices"].cpu())
        colour = batch["images"].float().mean((2, 3)) / 255
        error = (self.layer(colour)[:, 0] - batch["labels"]).square().mean()
        factor = self.spoil.get(self.now, 1.0)
        return {"error": error * factor, "loss": error * factor}


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(tmp_path: Path, model: Linear, name: str = "run", **changes: object) -> list[dict[str, float]]:
    params = TrainParams(**{"steps": 12, "batch_size": 6, "lr": 0.1, "optimizer": "sgd", **changes})
    task = make_task(tmp_path / f"task-{name}")
    images = ImageParams(side=SIDE, crop="centre", flip=False)
    return train_on(model, images, params, task, CheckpointFolder(tmp_path / name, "r", "k"), name)


def test_accumulation_equals_the_whole_batch(tmp_path: Path) -> None:
    whole, parts = Linear(), Linear()
    run(tmp_path, whole, "whole")
    run(tmp_path, parts, "parts", accumulate=3)
    torch.testing.assert_close(parts.layer.weight, whole.layer.weight)
    assert torch.equal(torch.cat(parts.seen), torch.cat(whole.seen))


def test_every_epoch_visits_every_picture_once(tmp_path: Path) -> None:
    model = Linear()
    run(tmp_path, model, steps=6)
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


def test_average_equals_a_slow_loop(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    average, expected = AveragedWeights(model, 0.9), model.weight.detach().clone()
    for _ in range(5):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        average.update()
        expected = 0.9 * expected + 0.1 * model.weight.detach()
    average.copy_to_module()
    torch.testing.assert_close(model.weight.detach(), expected)


def test_batch_statistics_are_averaged_like_weights() -> None:
    model = nn.BatchNorm1d(2)
    average, expected = AveragedWeights(model, 0.9), model.running_var.clone()  # type: ignore[union-attr]
    for _ in range(5):
        model(torch.randn(8, 2))
        average.update()
        expected = 0.9 * expected + 0.1 * model.running_var  # type: ignore[operator]
    assert set(average.state_dict()) == {"weight", "bias", "running_mean", "running_var"}
    average.copy_to_module()
    torch.testing.assert_close(model.running_var, expected)


def test_ema_weights_are_what_training_returns(tmp_path: Path) -> None:
    plain, averaged = Linear(), Linear()
    run(tmp_path, plain, "plain")
    run(tmp_path, averaged, "averaged", ema=0.99)
    start = Linear().layer.weight
    assert (averaged.layer.weight - start).norm() < 0.5 * (plain.layer.weight - start).norm()


def test_move_towards() -> None:
    target, source = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = 0.75 * target.weight.detach() + 0.25 * source.weight.detach()
    move_towards(target, source, 0.75)
    torch.testing.assert_close(target.weight.detach(), expected)


@pytest.mark.parametrize(
    ("factor", "message"), [(float("nan"), "'error' is nan"), (float("inf"), "'error' is inf")]
)
def test_a_bad_loss_stops_with_step_and_culprit(tmp_path: Path, factor: float, message: str) -> None:
    with pytest.raises(UserError, match=f"step 8: loss {message}"):
        run(tmp_path, Linear({7: factor}))
    assert not (tmp_path / "run/r/k/state.pt").exists(), "a spoilt state was saved"


def test_an_exploding_loss_stops(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 14: the loss exploded.*'error'"):
        run(tmp_path, Linear({13: 1e9}), steps=20, clip_norm=0.1)


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    model, start = Linear({0: 1e4}), Linear().layer.weight.detach().clone()
    run(tmp_path, model, steps=1, clip_norm=0.5, momentum=0.0)
    assert float((model.layer.weight.detach() - start).norm()) <= 0.1 * 0.5 + 1e-6


def test_schedules_by_hand() -> None:
    def rates(**changes: object) -> list[float]:
        params = TrainParams(**{"steps": 10, "lr": 1.0, **changes})
        return [learning_rate(params, step) for step in range(10)]

    assert rates() == [1.0] * 10
    assert rates(warmup_steps=4)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = rates(schedule="cosine")
    assert cosine[0] == 1.0
    assert cosine[5] == pytest.approx(0.5)
    assert cosine == sorted(cosine, reverse=True)
    cycle = rates(schedule="onecycle")
    assert cycle[0] == pytest.approx(0.04)
    assert max(cycle) == cycle[3] == 1.0
    assert cycle[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 6 / 7)))
    early = rates(schedule="onecycle", rise=0.1, final=0.5)
    assert early[:2] == [pytest.approx(0.04), 1.0]
    assert early[-1] == pytest.approx(0.5 + 0.5 * 0.5 * (1 + math.cos(math.pi * 8 / 9)))
    assert rates(schedule="cosine", warmup_steps=10)[-1] == 1.0
    drops = rates(schedule="drops", drop=0.5, drop_every=3, warmup_steps=2)
    assert drops == [0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize("half", [{"schedule": "drops"}, {"drop_every": 3}])
def test_drops_need_an_interval_and_an_interval_needs_drops(half: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="drop_every go together"):
        TrainParams(**{"steps": 10, "lr": 1.0, **half})


def test_matrices_decay_and_vectors_do_not() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    model.register_parameter("cls_token", nn.Parameter(torch.zeros(1, 1, 3)))
    groups = decay_groups(model, 0.1)
    assert [(g.weight_decay, len(g.params)) for g in groups] == [(0.1, 1), (0.0, 4)]


def test_an_absent_device_is_refused() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(UserError, match=f"runtime.device is {absent}"):
        pick_device(RuntimeParams(device=absent))


def test_curves_are_written_and_read(tmp_path: Path) -> None:
    points = [{"step": 10, "lr": 0.1, "a": 1.5}, {"step": 20, "lr": 0.1, "a": 1.25, "b": 2.0}]
    write_curves(tmp_path / "h", {"L": points, "R": points[:1]})
    curves = read_curves(tmp_path / "h")
    assert list(curves) == ["L", "R"]
    assert curves["L"]["a"] == [1.5, 1.25]
    assert str(curves["L"]["b"]) == "[nan, 2.0]"
    write_curves(tmp_path / "none", {})
    assert read_curves(tmp_path / "none") == {}


@pytest.mark.parametrize(
    ("asked", "device", "processor", "expected"),
    [
        ("bf16", "cpu", "AVX512", "bf16-mixed"),
        ("bf16", "cpu", "AVX2", "32-true"),
        ("bf16", "cpu", "DEFAULT", "32-true"),
        ("bf16", "cuda", "AVX2", "bf16-mixed"),
        ("fp32", "cpu", "AVX512", "32-true"),
        ("fp32", "cuda", "AVX2", "32-true"),
    ],
)
def test_half_precision_where_the_hardware_has_it(
    monkeypatch: pytest.MonkeyPatch, asked: str, device: str, processor: str, expected: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    own = TrainParams.model_validate({"steps": 1, "batch_size": 2, "lr": 0.1, "precision": asked})
    assert pick_precision(own, device) == expected


def test_a_processor_that_emulates_bf16_trains_in_fp32_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX0")
    own = TrainParams.model_validate({"steps": 1, "batch_size": 2, "lr": 0.1, "precision": "bf16"})
    for _ in range(3):
        pick_precision(own, "cpu")
    message = "precision bf16 would be emulated on this processor (AVX0): training in fp32\n"
    assert capsys.readouterr().err == message
