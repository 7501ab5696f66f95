"""Moving averages of weights against slow loops."""

import torch
from torch import nn

from fieldmark.engine.ema import EmaWeights, move_towards


def test_average_equals_a_slow_loop() -> None:
    model = nn.Linear(2, 1)
    average, expected = EmaWeights(model, 0.9), model.weight.detach().clone()
    for _ in range(5):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        average.update()
        expected = 0.9 * expected + 0.1 * model.weight.detach()
    average.copy_to_module()
    torch.testing.assert_close(model.weight.detach(), expected)


def test_batch_statistics_are_averaged_like_weights() -> None:
    model = nn.BatchNorm1d(2)
    average, expected = EmaWeights(model, 0.9), model.running_var.clone()  # type: ignore[union-attr]
    for _ in range(5):
        model(torch.randn(8, 2))
        average.update()
        expected = 0.9 * expected + 0.1 * model.running_var  # type: ignore[operator]
    assert set(average.state_dict()) == {"weight", "bias", "running_mean", "running_var"}
    average.copy_to_module()
    torch.testing.assert_close(model.running_var, expected)


def test_move_towards() -> None:
    target, source = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = 0.75 * target.weight.detach() + 0.25 * source.weight.detach()
    move_towards(target, source, 0.75)
    torch.testing.assert_close(target.weight.detach(), expected)
