"""The costs of all pairs of a batch and its references, with their gradients, tile by tile.

A memory of all training pictures makes N x M pairs of which few are positive and few negatives cost anything. Its
similarities are never held at once: a tile of them is computed, summed, turned into its own gradient where it lies
and multiplied back. On the CPU positive pairs are a list, found by label, so that no mask is made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Reduction = Literal["sum", "mean"]

TILE = 2**20  # similarities that are held at once: so many stay in the cache of a processor
GPU_TILE = 2**26


@dataclass(frozen=True)
class Pairs:
    """Embeddings (N, D) and others (M, D) of one precision, with their labels; own (N,) is the row not to look at."""

    embeddings: Tensor
    labels: Tensor
    others: Tensor
    other_labels: Tensor
    margin: float
    own: Tensor | None

    def parts(self) -> list[slice]:
        """Return slices of the others whose similarities to the batch are held at once."""
        held = GPU_TILE if self.embeddings.device.type == "cuda" else TILE
        width = max(held // max(len(self.embeddings), 1), 1)
        return [slice(at, min(at + width, len(self.others))) for at in range(0, len(self.others), width)]

    def same(self, part: slice) -> tuple[Tensor, Tensor]:
        """Return row and column within the part of each pair of one label, (P,) and (P,), by column."""
        ordered, order = self.labels.sort(stable=True)
        wanted = self.other_labels[part].to(ordered.dtype)
        first = torch.searchsorted(ordered, wanted)
        column = (ordered[first.clamp(max=len(ordered) - 1)] == wanted).nonzero().flatten()
        first = first[column]
        count = torch.searchsorted(ordered, wanted[column], right=True) - first
        begin = count.cumsum(0) - count
        within = torch.arange(int(count.sum()), device=count.device) - begin.repeat_interleave(count)
        return order[first.repeat_interleave(count) + within], column.repeat_interleave(count)


def cost(pairs: Pairs, reduction: Reduction) -> Tensor:
    """Return the costs of all pairs, [1 - s]+ of positive and [s - margin]+ of negative ones, as a scalar.

    Reduction "sum" divides the sum by N; "mean" adds the means over the positive and over the negative pairs that cost
    anything. It has a gradient for the embeddings and for the others.
    """
    loss: Tensor = _Cost.apply(pairs.embeddings, pairs.others, pairs, reduction)
    return loss


class _Tile:
    """The pairs of the batch with a part of the others: what they cost, then their gradient in the same place."""

    def __init__(self, pairs: Pairs, part: slice) -> None:
        self.pairs, self.part, self.others = pairs, part, pairs.others[part]
        self.excess = pairs.embeddings @ self.others.T  # (N, T): by how much negatives exceed the margin
        self.shortfall = self.take_positives()

    def take_positives(self) -> Tensor:
        """Return by how much positives fall short of 1, (P,); leave the negatives alone in `excess`."""
        self.row, self.column = self.pairs.same(self.part)
        shortfall = 1.0 - self.excess[self.row, self.column]
        if self.pairs.own is not None:  # no pair, so that it costs nothing and has no gradient
            shortfall[self.pairs.own[self.row] == self.column + self.part.start] = -1.0
        self.excess.sub_(self.pairs.margin)[self.row, self.column] = -torch.inf
        return shortfall

    def pulled(self) -> Tensor:
        """Return what the positives cost, (N, T), each where it lies: so a sum rounds as that of the tile does."""
        pulled = torch.zeros_like(self.excess)
        pulled[self.row, self.column] = self.shortfall.clamp(min=0.0)
        return pulled

    def pull(self, of_pairs: Tensor, weight: Tensor) -> Tensor:
        """Return the gradients of all pairs (N, T), with `weight` for the positives that cost anything."""
        of_pairs[self.row, self.column] = torch.where(self.shortfall > 0, weight, 0.0)
        return of_pairs

    def sums(self) -> Tensor:
        """Return what the positive and the negative pairs cost, (2,)."""
        return torch.stack([self.pulled().sum(), self.excess.clamp(min=0.0).sum()])

    def counts(self) -> Tensor:
        """Return how many positive and how many negative pairs cost anything, (2,)."""
        return torch.stack([(self.shortfall > 0).sum(), (self.excess > 0).sum()])

    def add_gradients(self, weights: Tensor, gradient: Tensor | None, other_gradient: Tensor | None) -> None:
        """Add the gradients of the sums times `weights` (2,) to those of the embeddings and the others."""
        of_pairs = self.pull(self.excess.gt_(0).mul_(weights[1]), -weights[0])
        if gradient is not None:
            product = of_pairs @ self.others
            _ = gradient.add_(product) if self.part.start else gradient.copy_(product)
        if other_gradient is not None:
            other_gradient[self.part] = of_pairs.T @ self.pairs.embeddings

    def add_pulls(self, gradient: Tensor | None, other_gradient: Tensor | None) -> None:
        """Add the gradients of the sum over the positives alone to those of the embeddings and the others."""
        costly = self.shortfall > 0
        row, column = self.row[costly], self.column[costly]
        if gradient is not None:
            gradient.index_add_(0, row, self.others[column], alpha=-1)
        if other_gradient is not None:
            other_gradient.index_add_(0, column + self.part.start, self.pairs.embeddings[row], alpha=-1)


class _MaskedTile(_Tile):
    """The same for a GPU, which does not wait to know how many pairs are positive, and so how long a list is."""

    def take_positives(self) -> Tensor:
        """Return by how much positives fall short of 1, (N, T), and -1 for all else."""
        same = self.pairs.labels[:, None] == self.pairs.other_labels[self.part]
        shortfall = torch.where(same, 1.0 - self.excess, -1.0)
        if self.pairs.own is not None:
            places = torch.arange(self.part.start, self.part.stop, device=same.device)
            shortfall.masked_fill_(self.pairs.own[:, None] == places, -1.0)
        self.excess.sub_(self.pairs.margin).masked_fill_(same, -torch.inf)
        return shortfall

    def pulled(self) -> Tensor:
        """Return what the positives cost, (N, T)."""
        return self.shortfall.clamp(min=0.0)

    def pull(self, of_pairs: Tensor, weight: Tensor) -> Tensor:
        """Return the gradients of all pairs (N, T), with `weight` for the positives that cost anything."""
        return torch.where(self.shortfall > 0, weight, of_pairs)

    def add_pulls(self, gradient: Tensor | None, other_gradient: Tensor | None) -> None:
        """Add the gradients of the sum over the positives alone to those of the embeddings and the others."""
        costly = (self.shortfall > 0).to(self.others.dtype)
        if gradient is not None:
            gradient.sub_(costly @ self.others)
        if other_gradient is not None:
            other_gradient[self.part] -= costly.T @ self.pairs.embeddings


TILES: dict[str, type[_Tile]] = {"cpu": _Tile}


def _tiles(pairs: Pairs) -> Iterator[_Tile]:
    kind = TILES.get(pairs.embeddings.device.type, _MaskedTile)
    for part in pairs.parts():
        yield kind(pairs, part)


class _Cost(Function):
    """The cost; its gradients are made with it, for the tiles are gone afterwards."""

    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, others: Tensor, pairs: Pairs, reduction: Reduction) -> Tensor:
        gradients = [
            torch.zeros_like(rows) if needed else None
            for rows, needed in zip((embeddings, others), ctx.needs_input_grad, strict=False)
        ]
        loss = _summed(pairs, gradients) if reduction == "sum" else _averaged(pairs, gradients)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = [None if gradient is None else grad * gradient for gradient in ctx.saved_tensors]
        return (*gradients, None, None)


def _summed(pairs: Pairs, gradients: Sequence[Tensor | None]) -> Tensor:
    """Return the sum of all costs over N, and write its gradients into those of the embeddings and the others."""
    count = len(pairs.embeddings)
    sums, weights = pairs.embeddings.new_zeros(2), 1 / pairs.embeddings.new_full((2,), count)
    for tile in _tiles(pairs):
        sums += tile.sums()
        if any(gradient is not None for gradient in gradients):
            tile.add_gradients(weights, *gradients)
    return sums.sum() / count


def _averaged(pairs: Pairs, gradients: Sequence[Tensor | None]) -> Tensor:
    """Return the means over the pairs that cost anything, added, and write their gradients.

    How many there are is known after the last tile: till then the positives have gradients of their own.
    """
    sums, only = pairs.embeddings.new_zeros(2), pairs.embeddings.new_tensor([0.0, 1.0])
    counts = torch.zeros(2, dtype=torch.int64, device=sums.device)
    pulls = [None if gradient is None else torch.zeros_like(gradient) for gradient in gradients]
    for tile in _tiles(pairs):
        sums += tile.sums()
        counts += tile.counts()
        if any(gradient is not None for gradient in gradients):
            tile.add_pulls(*pulls)
            tile.add_gradients(only, *gradients)
    divisors = counts.clamp(min=1).to(sums.dtype)
    for gradient, pull in zip(gradients, pulls, strict=True):
        if gradient is not None and pull is not None:
            gradient.div_(divisors[1]).add_(pull / divisors[0])
    return (sums / divisors).sum()
