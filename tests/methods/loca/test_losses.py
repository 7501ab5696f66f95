"""Values against loops, degenerate inputs, gradients."""

import math

import pytest
import torch

from fieldmark.methods.loca import feature_loss, position_loss, sinkhorn
from fieldmark.methods.loca.model.losses import balance

RANDOM = torch.Generator().manual_seed(0)


def test_sinkhorn_equals_loops() -> None:
    scores = torch.rand(7, 4, generator=RANDOM, dtype=torch.float64)
    expected = scores.tolist()
    for _ in range(3):
        for k in range(4):
            total = sum(row[k] for row in expected)
            for row in expected:
                row[k] /= total
        expected = [[value / sum(row) for value in row] for row in expected]
    torch.testing.assert_close(sinkhorn(scores), torch.tensor(expected, dtype=torch.float64))


def test_sinkhorn_balances_what_one_prototype_would_take() -> None:
    scores = torch.rand(400, 5, generator=RANDOM) + torch.tensor([50.0, 0.1, 0.1, 0.1, 0.1])
    balanced = sinkhorn(scores)
    torch.testing.assert_close(balanced.sum(1), torch.ones(400))
    torch.testing.assert_close(balanced.sum(0), torch.full((5,), 80.0), rtol=0.05, atol=0)
    more = sinkhorn(scores, iterations=30)
    torch.testing.assert_close(more.sum(0), torch.full((5,), 80.0), rtol=1e-4, atol=0)


def test_sinkhorn_has_no_gradient_and_leaves_its_input_alone() -> None:
    scores = torch.rand(3, 3, generator=RANDOM, requires_grad=True)
    before = scores.detach().clone()
    assert not sinkhorn(scores).requires_grad
    assert torch.equal(scores.detach(), before)


def test_sinkhorn_of_the_extremes() -> None:
    assert torch.equal(
        sinkhorn(torch.tensor([[1.0, 0.0], [3.0, 0.0]])), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    )
    torch.testing.assert_close(sinkhorn(torch.ones(6, 3)), torch.full((6, 3), 1 / 3))
    assert sinkhorn(torch.rand(4, 3).bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("scores", [torch.rand(3), torch.tensor([[1.0, -0.1]]), torch.zeros(2, 2)])
def test_sinkhorn_refuses_what_cannot_be_balanced(scores: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        sinkhorn(scores)


def test_without_its_checks_sinkhorn_is_the_same() -> None:
    scores = torch.rand(7, 4, generator=RANDOM)
    assert torch.equal(balance(scores, 3), sinkhorn(scores, 3))
    assert not balance(scores.requires_grad_(), 3).requires_grad


def test_position_loss_pools_valid_patches_of_all_queries() -> None:
    logits = torch.randn(2, 5, 9, generator=RANDOM, dtype=torch.float64)
    targets = torch.tensor([[3, -1, 8, 0, -1], [-1, -1, -1, 2, -1]])
    total, count = 0.0, 0
    for b in range(2):
        for i in range(5):
            if targets[b, i] >= 0:
                row = logits[b, i].tolist()
                total += math.log(sum(math.exp(v) for v in row)) - row[int(targets[b, i])]
                count += 1
    assert float(position_loss(logits, targets)) == pytest.approx(total / (count + 1e-8), rel=1e-12)


def test_a_batch_without_a_valid_patch_costs_nothing() -> None:
    logits = torch.randn(1, 4, 9, generator=RANDOM, requires_grad=True)
    loss = position_loss(logits, torch.full((1, 4), -1))
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
    cluster, _ = feature_loss(torch.zeros(4, 3), torch.full((4, 3), 1 / 3), torch.zeros(4).bool(), 0.1)
    assert float(cluster) == 0


def test_feature_loss_equals_loops_and_me_max_counts_invalid_patches() -> None:
    scores = torch.rand(6, 4, generator=RANDOM, dtype=torch.float64) * 2 - 1
    targets = torch.softmax(torch.randn(6, 4, generator=RANDOM, dtype=torch.float64), 1)
    valid = torch.tensor([True, False, True, True, False, False])
    predicted = [[math.exp(v / 0.1) for v in row] for row in scores.tolist()]
    predicted = [[v / sum(row) for v in row] for row in predicted]
    cross = [-sum(t * math.log(p) for t, p in zip(*rows, strict=True))
             for rows in zip(targets.tolist(), predicted, strict=True)]  # fmt: skip
    mean = [sum(row[k] for row in predicted) / 6 for k in range(4)]
    cluster, me_max = feature_loss(scores, targets, valid, 0.1)
    assert float(cluster) == pytest.approx((cross[0] + cross[2] + cross[3]) / 3, rel=1e-7)
    assert float(me_max) == pytest.approx(sum(p * math.log(p) for p in mean), rel=1e-12)


def test_me_max_of_the_extremes() -> None:
    one = torch.eye(4)[torch.zeros(5, dtype=torch.long)]
    all_valid = torch.ones(5).bool()
    assert float(feature_loss(one, one, all_valid, 0.02)[1]) == pytest.approx(0.0, abs=1e-6)
    assert float(feature_loss(torch.zeros(5, 4), one, all_valid, 0.1)[1]) == pytest.approx(-math.log(4))


def test_gradients() -> None:
    targets = torch.tensor([1, -1, 0, 2])
    logits = torch.randn(4, 3, generator=RANDOM, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: position_loss(x, targets), (logits,))
    wanted = torch.softmax(torch.randn(4, 3, generator=RANDOM, dtype=torch.float64), 1)
    assert torch.autograd.gradcheck(lambda x: sum(feature_loss(x, wanted, targets >= 0, 0.5)), (logits,))
