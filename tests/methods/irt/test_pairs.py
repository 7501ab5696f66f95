"""The costs of pairs and their gradients, over several tiles, against matrices of all pairs and finite differences."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.methods.irt import contrastive_loss
from fieldmark.methods.irt.model import pairs
from fieldmark.methods.irt.model.pairs import Pairs, Reduction, cost


@pytest.fixture(params=["listed", "masked"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "masked":  # as on a GPU
        monkeypatch.setattr(pairs, "TILES", {})


@pytest.fixture(params=[1, 20, 2**20], ids=["a column", "some columns", "one tile"])
def tiles(kind: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "TILE", request.param)


def example(seed: int, classes: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return a batch of 6 and 17 others; the first 5 of the batch are among the others, the last is near one of them.

    Not the same as one: whether 1 less the similarity of a picture with itself is above 0 is for the processor to say.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(17, 3, generator=generator, dtype=torch.float64), dim=1)
    labels = torch.randint(0, classes, (17,), generator=generator)
    place = torch.tensor([4, 1, 2, 3, 16])
    batch = torch.cat([rows[place], normalize(rows[:1] + 0.1, dim=1)])
    return batch, torch.cat([labels[place], labels[:1]]), rows, labels, torch.cat([place, torch.tensor([-1])])


def slow(
    batch: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, own: Tensor, reduction: Reduction
) -> tuple[float, Tensor, Tensor]:
    """Go through all pairs; return the loss and its gradients for both sides."""
    kinds: dict[int, list[tuple[float, int, int]]] = {-1: [], 1: []}
    for i in range(len(batch)):
        for j in range(len(others)):
            similarity, same = float(batch[i] @ others[j]), bool(labels[i] == other_labels[j])
            paid = 1.0 - similarity if same else similarity - 0.5
            if paid > 0 and not (same and j == own[i]):
                kinds[-1 if same else 1].append((paid, i, j))
    loss, gradient, other_gradient = 0.0, torch.zeros_like(batch), torch.zeros_like(others)
    for sign, paid_for in kinds.items():
        divisor = len(batch) if reduction == "sum" else max(len(paid_for), 1)
        for paid, i, j in paid_for:
            loss += paid / divisor
            gradient[i] += sign * others[j] / divisor
            other_gradient[j] += sign * batch[i] / divisor
    return loss, gradient, other_gradient


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("classes", [1, 4, 1000])
def test_loss_and_gradients_equal_those_of_all_pairs(reduction: Reduction, classes: int) -> None:
    batch, labels, others, other_labels, own = example(classes, classes)
    expected = slow(batch, labels, others, other_labels, own, reduction)
    batch.requires_grad_(), others.requires_grad_()
    loss = contrastive_loss(batch, labels, others, other_labels, 0.5, reduction, own)
    (3 * loss).backward()
    assert float(loss.detach()) == pytest.approx(expected[0], rel=1e-12)
    torch.testing.assert_close((batch.grad, others.grad), (3 * expected[1], 3 * expected[2]))


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradcheck_of_both_sides(reduction: Reduction) -> None:
    batch, labels, others, other_labels, own = example(3)
    batch = normalize(batch + 0.1, dim=1)  # none is at a bend: the picture itself has a similarity below 1
    inputs = (batch.requires_grad_(), others.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda x, y: contrastive_loss(x, labels, y, other_labels, 0.1, reduction, own), inputs
    )


@pytest.mark.usefixtures("tiles")
def test_pairs_of_one_label_are_found_in_any_order() -> None:
    generator = torch.Generator().manual_seed(0)
    labels, others = (torch.randint(-2, 6, (n,), generator=generator) for n in (30, 40))
    some = Pairs(torch.zeros(30, 1), labels, torch.zeros(40, 1), others, 0.5, None)
    found = set()
    for part in some.parts():
        row, column = some.same(part)
        found |= set(zip(row.tolist(), (column + part.start).tolist(), strict=True))
    assert found == {(i, j) for i in range(30) for j in range(40) if labels[i] == others[j]}


@pytest.mark.usefixtures("tiles")
def test_at_the_bend_there_is_no_cost_and_no_gradient() -> None:
    """A positive with similarity 1, a negative at the margin, and equal ones on both sides of a tile."""
    batch = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    others = torch.tensor([[0.5, 0.75**0.5], [1.0, 0.0], [0.5, 0.75**0.5], [1.0, 0.0]])
    loss = contrastive_loss(batch, torch.tensor([0, 0]), others, torch.tensor([1, 0, 2, 0]), margin=0.5)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert batch.grad is not None
    assert not batch.grad.any()


def test_a_batch_is_compared_with_itself_alike_with_and_without_a_reference() -> None:
    batch, labels, *_ = example(5)
    alone, both = batch.clone().requires_grad_(), batch.clone().requires_grad_()
    contrastive_loss(alone, labels).backward()
    contrastive_loss(both, labels, both, labels, own=torch.arange(6)).backward()
    assert torch.equal(torch.as_tensor(alone.grad), torch.as_tensor(both.grad))


@pytest.mark.usefixtures("kind")
def test_an_empty_memory_costs_nothing() -> None:
    batch = torch.eye(2, requires_grad=True)
    none = torch.empty(0, dtype=torch.long)
    loss = contrastive_loss(batch, torch.tensor([0, 1]), torch.empty(0, 2), none)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert batch.grad is not None
    assert not batch.grad.any()


@pytest.mark.usefixtures("kind")
def test_a_row_that_is_not_finite_is_not_hidden() -> None:
    batch = torch.tensor([[1.0, 0.0], [float("nan"), 0.0]])
    loss = cost(Pairs(batch, torch.tensor([0, 1]), torch.eye(2), torch.tensor([0, 1]), 0.5, None), "sum")
    assert bool(loss.isnan())
