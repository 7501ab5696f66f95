"""The losses that the paper compares its own with: against loops, and against the library where it has them."""

import math

import pytest
import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import NCALoss
from torch.nn.functional import cross_entropy, normalize

from fieldmark.methods.irt.model.rivals import EPSILON, LibraryLoss, LossName, neighbour_loss

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
LIBRARY: list[LossName] = ["nsoftmax", "proxynca", "multisimilarity"]


def unit(n: int, d: int, seed: int = 0) -> torch.Tensor:
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(rows, dim=1)


def slow_neighbours(z, labels, others, other_labels, temperature, own):  # type: ignore[no-untyped-def]
    """Minus the log of the softmax weight of one's own class, over whom `own` leaves."""
    losses = []
    for i in range(len(z)):
        seen = [j for j in range(len(others)) if j != own[i]]
        weights = {j: math.exp(float(z[i] @ others[j]) / temperature) for j in seen}
        right = sum(weight for j, weight in weights.items() if labels[i] == other_labels[j])
        if right:
            losses.append(-math.log(right / sum(weights.values())))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_neighbours_of_the_batch_equal_a_loop_and_the_librarys_nca(temperature: float) -> None:
    z = unit(8, 4)
    got = neighbour_loss(z, LABELS, temperature=temperature)
    expected = slow_neighbours(z, LABELS, z, LABELS, temperature, range(8))
    assert float(got) == pytest.approx(expected, rel=1e-9)
    library = NCALoss(softmax_scale=1 / temperature, distance=CosineSimilarity())
    assert float(got) == pytest.approx(float(library(z, LABELS)), rel=1e-6)


def test_neighbours_in_a_memory_equal_a_loop_without_ones_own_entry() -> None:
    z, memory = unit(4, 3), torch.cat([unit(4, 3), unit(6, 3, seed=1)])
    labels, entries = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 3, 0, 0, 1, 1, 2, 2])
    own = torch.tensor([0, 1, -1, 3])  # the third's own entry has left; the fourth has no classmate at all
    expected = slow_neighbours(z, labels, memory, entries, 0.1, own.tolist())
    got = neighbour_loss(z, labels, memory, entries, 0.1, own)
    assert float(got) == pytest.approx(expected, rel=1e-9)


def test_without_classmates_neighbours_cost_nothing() -> None:
    for rows in (0, 1, 3):
        z = unit(rows, 3).requires_grad_()
        loss = neighbour_loss(z, torch.arange(rows))
        loss.backward()
        assert float(loss.detach()) == 0.0
        assert z.grad is not None
        assert not z.grad.any()


def test_neighbours_gradcheck() -> None:
    z, memory, entries = unit(4, 3).requires_grad_(), unit(6, 3, seed=2), torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.autograd.gradcheck(
        lambda x: neighbour_loss(x, LABELS[:4], memory, entries, 0.5, torch.tensor([0, 1, -1, -1])), (z,)
    )


def test_normalised_softmax_is_a_cross_entropy_of_cosines() -> None:
    torch.manual_seed(0)
    loss, z = LibraryLoss("nsoftmax", classes=3, dim=4), unit(8, 4).float()
    [proxies] = loss.parameters()
    expected = cross_entropy(z @ normalize(proxies, dim=0) / 0.05, LABELS)
    torch.testing.assert_close(loss(z, LABELS), expected)


def test_proxy_nca_has_the_own_proxy_in_the_denominator() -> None:
    torch.manual_seed(0)
    loss, z = LibraryLoss("proxynca", classes=3, dim=4), unit(8, 4).float()
    [proxies] = loss.parameters()
    distance = torch.cdist(z, normalize(proxies, dim=1)) ** 2
    torch.testing.assert_close(loss(z, LABELS), cross_entropy(-9 * distance, LABELS), rtol=1e-4, atol=1e-5)


def test_multi_similarity_equals_a_loop_over_the_mined_pairs() -> None:
    z = unit(8, 4)
    similarity, total = (z @ z.T).tolist(), 0.0
    for i in range(8):
        same = [similarity[i][j] for j in range(8) if j != i and LABELS[j] == LABELS[i]]
        other = [similarity[i][j] for j in range(8) if LABELS[j] != LABELS[i]]
        hard = [s for s in same if s - EPSILON < max(other)]
        close = [s for s in other if s + EPSILON > min(same)]
        total += math.log(1 + sum(math.exp(-2 * (s - 0.5)) for s in hard)) / 2
        total += math.log(1 + sum(math.exp(50 * (s - 0.5)) for s in close)) / 50
    loss = LibraryLoss("multisimilarity", classes=3, dim=4)
    assert float(loss(z, LABELS)) == pytest.approx(total / 8, rel=1e-6)
    assert not list(loss.parameters())


@pytest.mark.parametrize("name", LIBRARY)
def test_batches_that_are_empty_small_or_of_half_precision(name: LossName) -> None:
    loss, z = LibraryLoss(name, classes=3, dim=4), unit(8, 4).float()
    assert float(loss(z[:0], LABELS[:0])) == 0.0
    assert torch.isfinite(loss(z[:1], LABELS[:1]))
    assert torch.isfinite(loss(z[:1].repeat(4, 1), LABELS[:4]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(z.bfloat16(), LABELS).dtype == torch.float32
        inside = loss(z, LABELS)
    torch.testing.assert_close(inside, loss(z, LABELS))


def test_a_temperature_replaces_that_of_the_paper() -> None:
    z = unit(8, 4).float()
    losses = []
    for temperature in (0.05, 0.5):
        torch.manual_seed(0)
        losses.append(float(LibraryLoss("nsoftmax", 3, 4, temperature)(z, LABELS).detach()))
    torch.manual_seed(0)
    assert losses[0] == float(LibraryLoss("nsoftmax", 3, 4)(z, LABELS).detach()) != losses[1]
