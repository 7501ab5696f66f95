"""IRT's losses against double loops, hand-computed values and finite differences."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from fieldmark.methods.irt import contrastive_loss, koleo_loss


def unit(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return normalize(
        torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1
    )


def slow_contrastive(z, labels, others, other_labels, margin, leave_out):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(z)):
        for j in range(len(others)):
            s = float(z[i] @ others[j])
            if leave_out(i, j, s, labels[i] == other_labels[j]):
                continue
            total += max(0.0, 1.0 - s) if labels[i] == other_labels[j] else max(0.0, s - margin)
    return total / len(z)


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_contrastive_equals_double_loop(margin: float, seed: int) -> None:
    z, labels = unit(11, 3, seed), torch.randint(0, 4, (11,), generator=torch.Generator().manual_seed(seed))
    expected = slow_contrastive(z, labels, z, labels, margin, lambda i, j, s, same: i == j)
    assert float(contrastive_loss(z, labels, margin=margin)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_contrastive_with_memory_equals_double_loop(seed: int) -> None:
    z, labels = unit(5, 3, seed), torch.tensor([0, 1, 2, 0, 1])
    memory = torch.cat([z, unit(7, 3, seed + 10), z[:1]])  # own entries and a same-class exact copy
    memory_labels = torch.cat([labels, torch.randint(0, 4, (7,)), labels[:1]])
    own = torch.tensor([0, 1, 2, 3, -1])  # the last row's own entry has left the memory
    expected = slow_contrastive(z, labels, memory, memory_labels, 0.5, lambda i, j, s, same: j == own[i])
    got = contrastive_loss(z, labels, memory, memory_labels, margin=0.5, own=own)
    assert float(got) == pytest.approx(expected, rel=1e-12)


def test_the_picture_itself_is_no_positive_however_far_its_key_has_moved() -> None:
    """A momentum encoder's key of the same picture has a similarity of 0.998, say; that of a classmate may be 1."""
    z, labels = unit(1, 3).requires_grad_(), torch.tensor([0])
    key = normalize(z.detach() + 0.06 * unit(1, 3, seed=1), dim=1)
    loss = contrastive_loss(z, labels, key, labels, own=torch.tensor([0]))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert z.grad is not None
    assert not z.grad.any()
    assert float(contrastive_loss(z, labels, key, labels).detach()) == pytest.approx(
        1 - float(z[0].detach() @ key[0])
    )


@pytest.mark.parametrize("seed", range(3))
def test_mean_reduction_averages_costly_pairs_of_each_kind(seed: int) -> None:
    z, labels = unit(9, 3, seed), torch.randint(0, 3, (9,), generator=torch.Generator().manual_seed(seed))
    costs: dict[bool, list[float]] = {True: [], False: []}
    for i in range(9):
        for j in range(9):
            same, s = bool(labels[i] == labels[j]), float(z[i] @ z[j])
            cost = 1 - s if same else s - 0.5
            if i != j and cost > 0:
                costs[same].append(cost)
    expected = sum(sum(one) / len(one) for one in costs.values() if one)
    assert float(contrastive_loss(z, labels, reduction="mean")) == pytest.approx(expected, rel=1e-12)


def test_mean_reduction_of_nothing_costly_is_zero_and_differentiable() -> None:
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    loss = contrastive_loss(z, torch.tensor([0, 1]), reduction="mean")
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert z.grad is not None
    assert not z.grad.any()


def test_by_hand() -> None:
    # Angles 0, 60 and 90 degrees; classes a, a, b. Positive pair 0-1 counts twice: 2 * (1 - 0.5).
    # Negatives: cos 90 = 0, cos 30 = 0.866 which exceeds the margin by 0.366, twice.
    angles = torch.tensor([0.0, math.pi / 3, math.pi / 2], dtype=torch.float64)
    z = torch.stack([angles.cos(), angles.sin()], dim=1)
    expected = (2 * 0.5 + 2 * (math.sqrt(3) / 2 - 0.5)) / 3
    assert float(contrastive_loss(z, torch.tensor([0, 0, 1]), margin=0.5)) == pytest.approx(expected)


def test_negative_at_the_margin_costs_nothing() -> None:
    z = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    assert float(contrastive_loss(z, torch.tensor([0, 1]), margin=0.5)) == pytest.approx(0.0, abs=1e-7)


def test_a_negative_identical_in_memory_is_still_pushed() -> None:
    z = unit(1, 3)
    assert float(contrastive_loss(z, torch.tensor([0]), z, torch.tensor([1]), margin=0.5)) == pytest.approx(
        0.5
    )


def test_identical_pictures_in_the_batch_are_excluded_by_index_only() -> None:
    z = unit(1, 3).repeat(2, 1)
    assert float(contrastive_loss(z, torch.tensor([0, 1]), margin=0.5)) == pytest.approx(0.5)
    assert float(contrastive_loss(z, torch.tensor([0, 0]))) == pytest.approx(0.0, abs=1e-12)


def test_batch_of_one_and_empty_batch() -> None:
    one = unit(1, 4).requires_grad_()
    contrastive_loss(one, torch.tensor([3])).backward()
    assert one.grad is not None
    assert one.grad.abs().sum() == 0
    assert float(contrastive_loss(unit(0, 4), torch.empty(0, dtype=torch.long))) == 0.0


@pytest.mark.parametrize(
    ("reference", "labels"), [(unit(2, 3), None), (unit(2, 3), torch.zeros(3, dtype=torch.long))]
)
def test_wrong_reference_is_refused(reference: torch.Tensor, labels: torch.Tensor | None) -> None:
    with pytest.raises(ValueError, match="label"):
        contrastive_loss(unit(2, 3), torch.zeros(2, dtype=torch.long), reference, labels)


def test_contrastive_gradcheck() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2])
    z = unit(5, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: contrastive_loss(x, labels, margin=0.1), (z,))
    memory = unit(6, 3, 5)
    assert torch.autograd.gradcheck(
        lambda x: contrastive_loss(x, labels, memory, torch.tensor([0, 1, 2, 0, 1, 2]), 0.1), (z,)
    )


@pytest.mark.parametrize("seed", range(4))
def test_koleo_equals_brute_force(seed: int) -> None:
    raw = torch.randn(9, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3
    z = normalize(raw, dim=1)
    nearest = [min(float((z[i] - z[j]).norm()) for j in range(9) if j != i) for i in range(9)]
    expected = -sum(math.log(rho) for rho in nearest) / 9
    assert float(koleo_loss(raw)) == pytest.approx(expected, rel=1e-6)


def test_koleo_of_antipodes_is_minus_log_two() -> None:
    z = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    assert float(koleo_loss(z)) == pytest.approx(-math.log(2.0), rel=1e-6)


def test_koleo_gradcheck() -> None:
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(koleo_loss, (z,))


def test_koleo_pushes_neighbours_apart_whatever_their_labels() -> None:
    z = torch.tensor([[1.0, 0.01], [1.0, -0.01]], requires_grad=True)
    koleo_loss(z).backward()
    assert z.grad is not None
    assert z.grad[0, 1] < 0 < z.grad[1, 1]


@pytest.mark.parametrize("rows", [0, 1])
def test_koleo_without_neighbours_is_zero(rows: int) -> None:
    z = torch.ones(rows, 3, requires_grad=True)
    loss = koleo_loss(z)
    loss.backward()
    assert float(loss) == 0.0


def test_koleo_of_duplicates_is_finite() -> None:
    z = torch.ones(4, 8, requires_grad=True)
    loss = koleo_loss(z)
    loss.backward()
    assert torch.isfinite(loss)
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_are_computed_in_full_precision_under_autocast(dtype: torch.dtype) -> None:
    z, labels = unit(16, 32).float(), torch.arange(16) % 4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = contrastive_loss(z, labels), koleo_loss(z)
    torch.testing.assert_close(inside, (contrastive_loss(z, labels), koleo_loss(z)))
    assert contrastive_loss(z.to(dtype), labels).dtype == torch.float32
    assert torch.isfinite(koleo_loss(z.to(dtype)))
