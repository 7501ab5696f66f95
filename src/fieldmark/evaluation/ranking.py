"""How many negatives lie above each positive of a query, counted in tiles, without any whole ranking.

The similarities of positives are computed in float64; they are few. All similarities are computed once in float32,
tile by tile. Where few of a tile lie above a positive these are looked at one by one; else each row of the tile is put
in order, so that a search for each positive counts what lies above it. The error of a similarity is bounded
(`error_bound`), so that most negatives are known to lie above or below a positive. Only the pairs within that bound
are computed again in float64. The counts are therefore exactly those of float64, at the cost of float32.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fieldmark.evaluation.tiles import DENSE, PAIRS, TILE, Pair, cut, error_bound, reaching

# More than the rounding errors of float64, far less than the differences that float32 can hold.
TIE = 2.0**-40
MANY = 64  # above one candidate in so many, all similarities of a tile are looked up together
SAMPLE = 16  # one row in so many tells how many candidates there are


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


class Reached(NamedTuple):
    """How many negatives (n,) reach a bar (n,), its place among all bars, and none above it."""

    bar: Tensor
    negatives: Tensor


class NegativeCounter:
    """Counts, tile by tile, how many negatives reach how many of the bars of each query of a part."""

    def __init__(self, pair: Pair, part: slice) -> None:
        self.pair, self.part, self.error = pair, part, error_bound(pair.queries.dim)
        self.positives = measure_positives(pair, part)
        self.beaten = torch.zeros_like(self.positives.bars, dtype=torch.int64)
        self.floors = self.floors_from(torch.zeros_like(self.positives.counts))

    @property
    def wanted(self) -> bool:
        """Whether there is a positive at all."""
        return len(self.beaten) > 0

    def look(self, similarity: Tensor, rows: slice, columns: slice) -> Reached:
        """Return what the negatives among the similarities (B, T) of `rows` and `columns` reach; several threads may.

        Rows lie within the part, columns in the gallery.
        """
        first = rows.start - self.part.start
        floors = self.floors[first : first + len(similarity)]
        if int((similarity[::SAMPLE] >= floors[::SAMPLE, None]).sum()) * SAMPLE * MANY > similarity.numel():
            most = int(self.positives.counts[first : first + len(similarity)].max())
            some = cut(slice(0, len(similarity)), max(PAIRS // most, 1))
            found = [self._look_at_all(similarity[few], _within(rows, few), columns) for few in some]
            return Reached(*(torch.cat(each) for each in zip(*found, strict=True)))
        row, column = reaching(similarity, floors)
        negative = self.pair.codes[row + rows.start] != self.pair.gallery_codes[column + columns.start]
        row, column = row[negative], column[negative]

        def exact(some: Tensor) -> Tensor:
            return self.pair.exact(row[some], column[some], rows, columns)

        return self.reached(row + first, similarity[row, column], exact)

    def take(self, found: Reached) -> None:
        """Add up what was found."""
        self.beaten.index_add_(0, found.bar, found.negatives)

    def floors_from(self, skipped: Tensor) -> Tensor:
        """Return the similarities (N,) in float32 below which a negative reaches none of the bars of its query.

        `skipped` (N,): so many of the lowest bars do not count. A query without others has inf.
        """
        lowest, left = self.positives.start[:-1] + skipped, skipped < self.positives.counts
        floors = torch.full(lowest.shape, torch.inf, device=lowest.device)
        # Rounded down, so that a similarity in float32 that may reach the lowest bar is never left out.
        floors[left] = (self.positives.bars[lowest[left]] - 2 * self.error).float()
        return floors

    def reached(self, query: Tensor, similarity: Tensor, exact: Callable[[Tensor], Tensor]) -> Reached:
        """Return what negatives (n,) of queries (n,) within the part reach, by their similarities (n,).

        Those in float64 are exact; for those in float32 `exact` returns the similarities of some of them in float64.
        """
        reached = self.positives.reached(query, similarity.double())
        if similarity.dtype != torch.float64:
            unsure = (
                self.positives.unsure(query, similarity.double(), reached, self.error).nonzero().flatten()
            )
            if len(unsure):
                reached[unsure] = self.positives.reached(query[unsure], exact(unsure))
        query, reached = query[reached > 0], reached[reached > 0]
        return Reached(self.positives.start[query] + reached - 1, torch.ones_like(reached))

    def _look_at_all(self, similarity: Tensor, rows: slice, columns: slice) -> Reached:
        """Do the same where most pairs are candidates: the similarities of each row are put in order."""
        part = slice(rows.start - self.part.start, rows.stop - self.part.start)
        bars, real = self.positives.padded(part)
        same = equal_pairs(self.pair.codes[rows], self.pair.gallery_codes[columns])
        similarity = _hidden(similarity, same)
        ordered = _rising(similarity)
        above = _at_or_above(ordered, (bars + self.error).float())
        unsure = _at_or_above(ordered, (bars - self.error).float()) - above
        if int(unsure.sum()) * DENSE > similarity.numel():
            whole = self.pair.queries.exact(rows) @ self.pair.gallery.exact(columns).T
            above = _at_or_above(_rising(_hidden(whole, same)), bars)
        else:
            self._decide(above, unsure, bars, similarity, rows, columns)
        beaten = above - torch.nn.functional.pad(above[:, 1:], (0, 1))
        span = self.positives.start[[part.start, part.stop]].tolist()
        return Reached(torch.arange(*span, device=bars.device), beaten[real])

    def _decide(
        self, above: Tensor, unsure: Tensor, bars: Tensor, similarity: Tensor, rows: slice, columns: slice
    ) -> None:
        """Add to `above` (B, R) those of the `unsure` (B, R) negatives of each bar that reach it in float64."""
        row, bar = unsure.nonzero(as_tuple=True)
        for few, its in zip(row.split(TILE), bar.split(TILE), strict=True):
            line = bars[few, its]
            # Some more than are unsure, for these numbers are rounded once more.
            apart = similarity.index_select(0, few).sub_(line.float()[:, None]).abs_().neg_()
            place, column = reaching(apart, torch.full(few.shape, -2 * self.error, device=line.device))
            value = similarity[few[place], column]
            near = (value >= (line - self.error).float()[place]) & (
                value < (line + self.error).float()[place]
            )
            place, column = place[near], column[near]
            if len(place):
                reached = self.pair.exact(few[place], column, rows, columns) >= line[place]
                above.index_put_((few[place], its[place]), reached.long(), accumulate=True)

    def ranks(self) -> Tensor:
        """Return the ranks (P,) of the positives of the queries, nearest first, from 1."""
        start = self.positives.start
        query = owners(self.positives.counts)
        order = torch.arange(len(query), device=start.device) - start[query]  # from 0
        # What reaches as many bars as the k-th nearest has below it and at it ranks above it.
        sums = torch.cat([self.beaten.new_zeros(1), self.beaten.cumsum(0)])
        ranks: Tensor = order + 1 + sums[start[query + 1]] - sums[start[query + 1] - 1 - order]
        return ranks


def _within(whole: slice, some: slice) -> slice:
    """Return a slice of a slice."""
    return slice(whole.start + some.start, whole.start + some.stop)


def owners(counts: Tensor) -> Tensor:
    """Return for each entry of flat lists of `counts` (n,) entries whose it is."""
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def equal_pairs(codes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places (n,) in codes (B,) and in others (T,) of all pairs that are equal."""
    ordered, order = others.sort(stable=True)
    first = torch.searchsorted(ordered, codes)
    counts = torch.searchsorted(ordered, codes, right=True) - first
    row = owners(counts)
    rank = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    return row, order[first[row] + rank]


def _hidden(similarity: Tensor, pairs: tuple[Tensor, Tensor]) -> Tensor:
    """Return a copy of similarities (B, T), row by row in memory, those of some pairs being -inf."""
    rows = similarity.clone(memory_format=torch.contiguous_format)
    rows[pairs] = -torch.inf
    return rows


def _rising(similarity: Tensor) -> Tensor:
    """Return the similarities (B, T) of each row in rising order."""
    if similarity.device.type != "cpu":
        return similarity.sort(dim=1).values
    # By vector instructions, where torch has none: it takes ten times as long.
    return torch.from_numpy(np.sort(similarity.numpy(), axis=1))


def _at_or_above(ordered: Tensor, bars: Tensor) -> Tensor:
    """Count the similarities of each row (B, T), in rising order, at or above each of its bars (B, R): (B, R) int64."""
    return ordered.shape[1] - torch.searchsorted(ordered, bars)


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
