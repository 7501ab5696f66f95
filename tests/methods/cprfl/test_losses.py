"""The losses: slow references entry by entry, limits with known values, gradients, half precision, bad input."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from fieldmark.methods.cprfl import asymmetric_loss
from fieldmark.methods.cprfl.model.losses import focal_loss

SHAPE = (5, 7)


def given(scale: float = 3.0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    return logits.to(dtype), (torch.rand(SHAPE, generator=generator) < 0.3).to(dtype)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def slow_asymmetric(
    logits: torch.Tensor, targets: torch.Tensor, gamma_pos: float, gamma_neg: float, clip: float
) -> tuple[float, list[list[float]]]:
    """The released code's formula with its 1e-8, and its gradient by hand with the weight held still."""
    total, gradient = 0.0, []
    for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True):
        gradient.append([])
        for x, y in zip(row, wanted, strict=True):
            p = sigmoid(x)
            q = min(1 - p + clip, 1.0)
            if y:
                weight = (1 - p) ** gamma_pos
                total -= weight * math.log(max(p, 1e-8))
                slope = -weight * (1 - p)
            else:
                weight = (1 - q) ** gamma_neg
                total -= weight * math.log(max(q, 1e-8))
                slope = weight * p * (1 - p) / q if 1 - p + clip < 1 else 0.0
            gradient[-1].append(slope / logits.numel())
    return total / logits.numel(), gradient


@pytest.mark.parametrize(
    "settings", [(0.0, 4.0, 0.05), (1.0, 4.0, 0.05), (0.0, 0.0, 0.0), (2.0, 3.5, 0.0), (0.5, 1.0, 0.2)]
)
@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_asymmetric_value_and_gradient_equal_the_formula(
    settings: tuple[float, float, float], scale: float
) -> None:
    logits, targets = given(scale)
    expected, gradient = slow_asymmetric(logits, targets, *settings)
    logits.requires_grad_()
    loss = asymmetric_loss(logits, targets, *settings)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(logits.grad, torch.tensor(gradient).double(), rtol=1e-6, atol=1e-9)


def test_defaults_are_the_papers() -> None:
    logits, targets = given()
    assert asymmetric_loss(logits, targets) == asymmetric_loss(logits, targets, 0.0, 4.0, 0.05)


def test_asymmetric_without_focus_is_binary_cross_entropy() -> None:
    logits, targets = given()
    loss = asymmetric_loss(logits, targets, 0.0, 0.0, 0.0)
    torch.testing.assert_close(loss, binary_cross_entropy_with_logits(logits, targets))


def test_easy_negatives_cost_nothing_and_hand_values_hold() -> None:
    easy = torch.full((1, 3), math.log(0.04 / 0.96))
    assert asymmetric_loss(easy, torch.zeros(1, 3)) == 0
    even = torch.zeros(1, 2)
    by_hand = -(math.log(0.5) + 0.45**4 * math.log(0.55)) / 2
    assert float(asymmetric_loss(even, torch.tensor([[1.0, 0.0]]))) == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_asymmetric_is_finite_at_every_size_of_logit(dtype: torch.dtype, clip: float) -> None:
    sizes = [0.0, 1e-4, 1.0, 20.0, 90.0, 1000.0, 60000.0]
    logits = torch.tensor([[s, -s] for s in sizes], dtype=dtype).requires_grad_()
    for targets in (torch.zeros(len(sizes), 2), torch.ones(len(sizes), 2)):
        logits.grad = None
        loss = asymmetric_loss(logits, targets, clip=clip)
        loss.backward()
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


def test_a_hopeless_positive_keeps_its_gradient() -> None:
    """Where the released code's floor of 1e-8 stops it."""
    logits = torch.tensor([[-40.0]], requires_grad=True)
    asymmetric_loss(logits, torch.ones(1, 1)).backward()
    assert float(logits.grad or 0) == pytest.approx(-1.0)


def test_half_precision_is_close_to_double() -> None:
    logits, targets = given()
    for dtype in (torch.bfloat16, torch.float16):
        rounded = logits.to(dtype)
        torch.testing.assert_close(
            asymmetric_loss(rounded, targets).double(), asymmetric_loss(rounded.double(), targets)
        )


@pytest.mark.parametrize("kind", [torch.bool, torch.int64, torch.float32])
def test_targets_of_any_kind(kind: torch.dtype) -> None:
    logits, targets = given(dtype=torch.float32)
    assert asymmetric_loss(logits, targets.to(kind)) == asymmetric_loss(logits, targets)


def test_an_empty_batch_costs_zero() -> None:
    logits = torch.zeros(0, 4, requires_grad=True)
    loss = asymmetric_loss(logits, torch.zeros(0, 4))
    loss.backward()
    assert loss == 0


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="must agree"):
        asymmetric_loss(torch.zeros(2, 3), torch.zeros(3, 2))
    with pytest.raises(ValueError, match="must not be negative"):
        asymmetric_loss(torch.zeros(2, 3), torch.zeros(2, 3), gamma_neg=-1)


def test_focal_equals_a_double_loop_and_has_right_gradients() -> None:
    logits, targets = given()
    total = 0.0
    for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True):
        for x, y in zip(row, wanted, strict=True):
            pt = sigmoid(x) if y else 1 - sigmoid(x)
            total -= (1 - pt) ** 2 * math.log(pt)
    assert float(focal_loss(logits, targets)) == pytest.approx(total / logits.numel())
    torch.testing.assert_close(
        focal_loss(logits, targets, 0.0), binary_cross_entropy_with_logits(logits, targets)
    )
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, targets), logits.requires_grad_())
