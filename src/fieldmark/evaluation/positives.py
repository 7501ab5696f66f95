"""The similarities of each query to its positives, in float64: what negatives are measured against."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fieldmark.evaluation.tiles import PAIRS, Pair

# More than the rounding errors of float64, far less than the differences that float32 can hold.
TIE = 2.0**-40


@dataclass(frozen=True)
class Positives:
    """The similarities that the negatives of each query are measured against, in one flat list.

    start (N + 1,) int64: where the positives of a query begin; bars (P,) float64: their similarities less TIE, rising
    within a query. A negative that reaches a bar ranks before its positive.
    """

    start: Tensor
    bars: Tensor

    @cached_property
    def counts(self) -> Tensor:
        """(N,) int64: how many positives each query has."""
        return self.start.diff()

    @cached_property
    def halvings(self) -> int:
        """How often the longest list of bars can be halved."""
        return int(self.counts.max()).bit_length()

    def reached(self, query: Tensor, similarity: Tensor) -> Tensor:
        """Return how many bars of `query` (n,) lie at or below `similarity` (n,), by bisection."""
        low, high = self.start[query], self.start[query + 1]
        begin = low
        for _ in range(self.halvings if len(query) else 0):
            middle = (low + high) // 2
            below = (low < high) & (self.bars[middle.clamp(max=len(self.bars) - 1)] <= similarity)
            low, high = torch.where(below, middle + 1, low), torch.where(below, high, middle)
        return low - begin

    def padded(self, part: slice) -> tuple[Tensor, Tensor]:
        """Return the bars of a part of the queries side by side, (B, R), inf after the last, and which are real."""
        counts = self.counts[part]
        real = torch.arange(int(counts.max()), device=counts.device) < counts[:, None]
        bars = torch.full(real.shape, torch.inf, dtype=self.bars.dtype, device=counts.device)
        bars[real] = self.bars[self.start[part.start] : self.start[part.stop]]
        return bars, real

    def unsure(self, query: Tensor, similarity: Tensor, reached: Tensor, error: float) -> Tensor:
        """Say where a bar lies within `error` of the similarity, so that `reached` may be wrong."""
        place, last = self.start[query] + reached, len(self.bars) - 1
        above = (reached < self.counts[query]) & (self.bars[place.clamp(max=last)] - similarity <= error)
        below = (reached > 0) & (similarity - self.bars[(place - 1).clamp(min=0)] <= error)
        return above | below


def measure_positives(pair: Pair, part: slice) -> Positives:
    """Compute the similarities of the queries of a part to their positives."""
    counts = pair.members[pair.codes[part]] - int(pair.alone)
    start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    bars = torch.empty(int(start[-1]), dtype=torch.float64, device=counts.device)
    for queries, others in _classes(pair, part):
        similarity = pair.products(queries + part.start, others)
        if pair.alone:
            own = others[:, None] == (queries + part.start)[..., None]
            similarity = similarity[~own].view(*queries.shape, -1)
        place = start[queries][..., None] + torch.arange(similarity.shape[2], device=counts.device)
        bars[place] = similarity.sort(dim=2).values - TIE
    return Positives(start, bars)


def _classes(pair: Pair, part: slice) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the queries (K, A), within the part, and the gallery rows (K, M) of classes with as many of both."""
    asked = torch.bincount(pair.codes[part], minlength=len(pair.members))
    queries, others = pair.codes[part].argsort(stable=True), pair.gallery_codes.argsort(stable=True)
    both = torch.stack([asked, pair.members], dim=1)
    for few, many in both.unique(dim=0).tolist():
        if not few or many <= pair.alone:
            continue
        alike = (both == both.new_tensor([few, many])).all(dim=1).nonzero().flatten()
        firsts = (asked.cumsum(0) - asked)[alike], (pair.members.cumsum(0) - pair.members)[alike]
        places = [
            first[:, None] + torch.arange(length, device=first.device)
            for first, length in zip(firsts, (few, many), strict=True)
        ]
        together = max(PAIRS // ((few + many) * pair.queries.dim + few * many), 1)
        for left, right in zip(*(place.split(together) for place in places), strict=True):
            for some in queries[left].split(max(PAIRS // many, 1), dim=1):
                yield some, others[right]
