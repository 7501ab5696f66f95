"""The cross-batch memory against a plain Python queue."""

from collections import deque

import pytest
import torch

from fieldmark.methods.irt import MemoryBank


@pytest.mark.parametrize("size", [1, 4, 7, 10])
def test_behaves_like_a_queue(size: int) -> None:
    bank, queue = MemoryBank(size, 1), deque[tuple[float, int]](maxlen=size)
    count = 0
    for batch in (3, 2, 4, 1, 4, 11):
        rows = torch.arange(count, count + batch, dtype=torch.float32)
        places = bank.enqueue(rows[:, None], rows.long() % 5)
        queue.extend((float(r), int(r) % 5) for r in rows)
        count += batch
        features, labels = bank.get()
        assert [row for row, place in zip(rows, places, strict=True) if place >= 0] == rows[-size:].tolist()
        assert torch.equal(features[places[places >= 0], 0], rows[-size:])
        assert sorted(zip(features[:, 0].tolist(), labels.tolist(), strict=True)) == sorted(queue)


def test_starts_empty() -> None:
    features, labels = MemoryBank(3, 2).get()
    assert features.shape == (0, 2)
    assert labels.shape == (0,)


def test_keeps_no_gradient_and_no_alias_of_the_batch() -> None:
    bank = MemoryBank(4, 2)
    rows = torch.ones(2, 2, requires_grad=True)
    bank.enqueue(rows, torch.tensor([0, 1]))
    stored, _ = bank.get()
    assert not stored.requires_grad
    with torch.no_grad():
        rows.zero_()
    assert stored.sum() == 4


def test_what_is_stored_is_not_copied() -> None:
    bank = MemoryBank(4, 2)
    bank.enqueue(torch.ones(2, 2), torch.tensor([0, 1]))
    stored, labels = bank.get()
    bank.enqueue(torch.zeros(4, 2), torch.full((4,), 7))
    assert stored.sum() == 0
    assert labels.tolist() == [7, 7]


def test_state_is_saved_and_restored() -> None:
    bank, other = MemoryBank(3, 1), MemoryBank(3, 1)
    bank.enqueue(torch.arange(4.0)[:, None], torch.arange(4))
    other.load_state_dict(bank.state_dict())
    for memory in (bank, other):
        memory.enqueue(torch.tensor([[9.0]]), torch.tensor([9]))
    assert torch.equal(bank.get()[0], other.get()[0])


def test_a_memory_without_places_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        MemoryBank(0, 4)
