"""How many negatives lie above each positive of a query, counted in tiles, without sorting any ranking.

The similarities of positives are computed in float64; they are few. All similarities are computed once in float32,
tile by tile. The error of such a similarity is bounded (`error_bound`), so that most negatives are known to lie above
or below a positive. Only the pairs within that bound are computed again in float64. The counts are therefore exactly
those of float64, at the cost of float32.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fieldmark.evaluation.arrays import CHECKED, Rows

# More than the rounding errors of float64, far less than the differences that float32 can hold.
TIE = 2.0**-40
TILE = 1024  # queries and gallery rows of a tile: its similarities stay in the cache of a processor
GPU_TILE = 8192
POSITIVES = 2**23  # positives whose similarities are held at once
PAIRS = 2**22  # numbers that a product of rows may hold at once
MANY = 16  # above one candidate in so many, all similarities of a tile are looked up together
FEW = 24  # up to so many bars, to hold each against a tile is faster than bisection
DENSE = 64  # above one unsure pair in so many, a tile is computed again as a whole


def error_bound(dim: int) -> float:
    """Return a bound on the error of a float32 dot product of two unit rows that were rounded to float32.

    Each of `dim` products and sums rounds by at most 2**-24 of rows of length one (Higham, "Accuracy and Stability of
    Numerical Algorithms", section 3.1); rounding the rows
    themselves adds as much for each of the two, and rounding what they are compared with once more.
    """
    unit = 2.0**-24
    return 1.01 * (dim + 4) * unit / (1 - (dim + 4) * unit)


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


@dataclass(frozen=True)
class Pair:
    """Queries (N, D) and a gallery (G, D), with a code for the label of each row; both are one where `alone`."""

    queries: Rows
    gallery: Rows
    codes: Tensor
    gallery_codes: Tensor
    alone: bool

    @cached_property
    def members(self) -> Tensor:
        """(C,) int64: how many gallery rows have each code."""
        return torch.bincount(self.gallery_codes, minlength=int(self.codes.max()) + 1)

    def parts(self) -> Iterator[slice]:
        """Yield slices of queries that have at most POSITIVES positives together; one query may have more."""
        totals, start = self.members[self.codes].cumsum(0), 0
        while start < len(self.codes):
            done = int(totals[start - 1]) if start else 0
            stop = max(int(torch.searchsorted(totals, done + POSITIVES, right=True)), start + 1)
            yield slice(start, stop)
            start = stop

    def tiles(
        self, part: slice, take: Callable[[Rows, slice], Tensor] = Rows.low
    ) -> Iterator[tuple[Tensor, slice, slice]]:
        """Yield similarities (B, T) with the queries and the gallery rows that they belong to.

        They are products of the rows that `take` gives, float32 or lower. Where a query is searched among the others
        each tile serves twice: its columns are queries of its rows, too.
        """
        side = GPU_TILE if self.codes.device.type == "cuda" else TILE
        mirrored = self.alone and part == slice(0, len(self.queries))
        for columns in _cut(slice(0, len(self.gallery)), side):
            others = take(self.gallery, columns)
            for rows in _cut(slice(part.start, columns.stop) if mirrored else part, side):
                with full_precision():
                    similarity = take(self.queries, rows) @ others.T
                if self.alone and rows.start < columns.stop and columns.start < rows.stop:
                    _hide_self(similarity, rows, columns)
                yield similarity, rows, columns
                if mirrored and rows != columns:
                    yield similarity.T, columns, rows

    def exact(self, row: Tensor, column: Tensor, rows: slice, columns: slice) -> Tensor:
        """Return the similarities (n,) in float64 of pairs within a tile."""
        if len(row) * DENSE > (rows.stop - rows.start) * (columns.stop - columns.start):
            return (self.queries.exact(rows) @ self.gallery.exact(columns).T)[row, column]
        return self.dots(row + rows.start, (column + columns.start)[:, None])[:, 0]

    def similarities(self, query: Tensor) -> Tensor:
        """Return the similarities (n, G) in float64 of queries to the whole gallery."""
        left = self.queries.exact(query)
        wholes = _cut(slice(0, len(self.gallery)), CHECKED)
        return torch.cat([left @ self.gallery.exact(columns).T for columns in wholes], dim=1)

    def dots(self, query: Tensor, others: Tensor) -> Tensor:
        """Return the similarities (n, W) in float64 of each query (n,) to gallery rows (n, W) of its own."""
        step = max(PAIRS // (self.queries.dim * others.shape[1]), 1)
        return torch.cat(
            [
                (
                    self.gallery.exact(right.flatten()).view(*right.shape, -1)
                    @ self.queries.exact(left)[..., None]
                )[..., 0]
                for left, right in zip(query.split(step), others.split(step), strict=True)
            ]
        )


def _cut(whole: slice, side: int) -> list[slice]:
    return [slice(at, min(at + side, whole.stop)) for at in range(whole.start, whole.stop, side)]


def _hide_self(similarity: Tensor, rows: slice, columns: slice) -> None:
    """Set the similarity of each query to itself to -inf."""
    both = torch.arange(
        max(rows.start, columns.start), min(rows.stop, columns.stop), device=similarity.device
    )
    similarity[both - rows.start, both - columns.start] = -torch.inf


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply as the bounds on the error say: not in TF32 or bfloat16, and sums of bfloat16 in float32."""
    before = torch.get_float32_matmul_precision()
    cuda = torch.backends.cuda.matmul
    reduced = cuda.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    cuda.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        cuda.allow_bf16_reduced_precision_reduction = reduced


class NegativeCounter:
    """Counts, tile by tile, how many negatives reach how many of the bars of each query of a part."""

    def __init__(self, pair: Pair, part: slice) -> None:
        self.pair, self.part, self.error = pair, part, error_bound(pair.queries.dim)
        self.positives = _positives(pair, part)
        self.beaten = torch.zeros_like(self.positives.bars, dtype=torch.int64)
        self.floors = self.floors_from(torch.zeros_like(self.positives.counts), slice(0, None))

    @property
    def wanted(self) -> bool:
        """Whether there is a positive at all."""
        return len(self.beaten) > 0

    def add(self, similarity: Tensor, rows: slice, columns: slice) -> None:
        """Count the negatives among the similarities (B, T) of queries `rows` and gallery rows `columns`."""
        first = rows.start - self.part.start
        candidates = similarity >= self.floors[first : first + len(similarity), None]
        if int(candidates.sum()) * MANY > similarity.numel():
            self._add_all(similarity.contiguous(), rows, columns)
            return
        row, column = candidates.nonzero(as_tuple=True)
        negative = self.pair.codes[row + rows.start] != self.pair.gallery_codes[column + columns.start]
        row, column = row[negative], column[negative]
        self.count(row, column, similarity[row, column], rows, columns)

    def floors_from(self, skipped: Tensor, here: slice) -> Tensor:
        """Return the similarities (n,) in float32 below which a negative reaches none of the bars of its query.

        `skipped` (n,): so many of the lowest bars do not count. A query without others has inf.
        """
        lowest, left = self.positives.start[:-1][here] + skipped, skipped < self.positives.counts[here]
        floors = torch.full(lowest.shape, torch.inf, device=lowest.device)
        # Rounded down, so that a similarity in float32 that may reach the lowest bar is never left out.
        floors[left] = (self.positives.bars[lowest[left]] - 2 * self.error).float()
        return floors

    def count(self, row: Tensor, column: Tensor, similarity: Tensor, rows: slice, columns: slice) -> None:
        """Count negatives: pairs (n,) within a tile, with their similarities (n,) in float32."""
        query, value = row + rows.start - self.part.start, similarity.double()
        reached = self.positives.reached(query, value)
        unsure = self.positives.unsure(query, value, reached, self.error).nonzero().flatten()
        if len(unsure):
            exact = self.pair.exact(row[unsure], column[unsure], rows, columns)
            reached[unsure] = self.positives.reached(query[unsure], exact)
        query, reached = query[reached > 0], reached[reached > 0]
        self.beaten.scatter_add_(0, self.positives.start[query] + reached - 1, torch.ones_like(reached))

    def _add_all(self, similarity: Tensor, rows: slice, columns: slice) -> None:
        """Do the same where most pairs are candidates: each bar is held against the tile as a whole."""
        first = rows.start - self.part.start
        bars, real = self.positives.padded(slice(first, first + len(similarity)))
        above = self._above(similarity, bars, rows, columns) if bars.shape[1] <= FEW else None
        if above is None:
            beaten = self._looked_up(similarity, bars, rows, columns)
        else:
            beaten = above - torch.nn.functional.pad(above[:, 1:], (0, 1))
        span = self.positives.start[[first, first + len(similarity)]].tolist()
        self.beaten[slice(*span)] += beaten[real]

    def _above(self, similarity: Tensor, bars: Tensor, rows: slice, columns: slice) -> Tensor | None:
        """Count the negatives at or above each bar, (B, R); None where many pairs must be computed again."""
        certain, possible = (bars + self.error).float(), (bars - self.error).float()
        same = self.pair.codes[rows, None] == self.pair.gallery_codes[columns]
        similarity = similarity.masked_fill(same, -torch.inf)
        above = _at_or_above(similarity, certain)
        doubtful = _at_or_above(similarity, possible) - above
        if int(doubtful.sum()) * DENSE > similarity.numel():
            return None
        row, bar = doubtful.nonzero(as_tuple=True)
        for few, its in zip(row.split(TILE), bar.split(TILE), strict=True):
            values = similarity[few]
            near = (values >= possible[few, its, None]) & (values < certain[few, its, None])
            place, column = near.nonzero(as_tuple=True)
            if len(place):
                reached = self.pair.exact(few[place], column, rows, columns) >= bars[few, its][place]
                above.index_put_((few[place], its[place]), reached.long(), accumulate=True)
        return above

    def _looked_up(self, similarity: Tensor, bars: Tensor, rows: slice, columns: slice) -> Tensor:
        """Count the negatives between each bar and the next, (B, R), by bisection."""
        first = rows.start - self.part.start
        reached = torch.searchsorted((bars + self.error).float(), similarity, right=True)
        most = torch.searchsorted((bars - self.error).float(), similarity, right=True)
        row, column = (reached != most).nonzero(as_tuple=True)
        if len(row):
            exact = self.pair.exact(row, column, rows, columns)
            reached[row, column] = self.positives.reached(row + first, exact)
        reached[self.pair.codes[rows, None] == self.pair.gallery_codes[columns]] = 0
        beaten = torch.zeros(len(bars), bars.shape[1] + 1, dtype=torch.int64, device=bars.device)
        return beaten.scatter_add_(1, reached, torch.ones_like(reached))[:, 1:]

    def ranks(self, here: slice) -> Tensor:
        """Return the ranks (P,) of the positives of some queries of the part, nearest first, from 1."""
        start = self.positives.start[here.start : here.stop + 1]
        first, last = start[[0, -1]].tolist()
        query, begin = owners(start.diff()), start - first
        order = torch.arange(len(query), device=start.device) - begin[query]  # from 0
        # What reaches as many bars as the k-th nearest has below it and at it ranks above it.
        sums = torch.cat([self.beaten.new_zeros(1), self.beaten[first:last].cumsum(0)])
        ranks: Tensor = order + 1 + sums[begin[query + 1]] - sums[begin[query + 1] - 1 - order]
        return ranks


def owners(counts: Tensor) -> Tensor:
    """Return for each entry of flat lists of `counts` (n,) entries whose it is."""
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def _at_or_above(similarity: Tensor, bars: Tensor) -> Tensor:
    """Count the similarities (B, T) of each row that lie at or above each of its bars (B, R): (B, R) int64."""
    held = torch.empty_like(similarity)
    counts = [torch.ge(similarity, bar[:, None], out=held).sum(dim=1) for bar in bars.unbind(1)]
    return torch.stack(counts, dim=1).long()  # sums of ones are exact in float32 up to 2**24


def _positives(pair: Pair, part: slice) -> Positives:
    """Compute the similarities of the queries of a part to their positives, class by class."""
    codes, members = pair.codes[part], pair.members
    counts = members[codes] - int(pair.alone)
    start = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    bars = torch.empty(int(start[-1]), dtype=torch.float64, device=codes.device)
    found = pair.gallery_codes.argsort(stable=True).split(members.tolist())
    asked = codes.argsort(stable=True).split(torch.bincount(codes, minlength=len(members)).tolist())
    for chosen, others in zip(asked, found, strict=True):
        if len(chosen) and len(others) > pair.alone:
            for few in chosen.split(max(PAIRS // len(others), 1)):
                similarity = _to_others(pair, few + part.start, others)
                place = start[few][:, None] + torch.arange(similarity.shape[1], device=codes.device)
                bars[place] = similarity.sort(dim=1).values - TIE
    return Positives(start, bars)


def _to_others(pair: Pair, index: Tensor, others: Tensor) -> Tensor:
    """Return the similarities (n, R) of queries to gallery rows in float64, but for those of a query to itself."""
    similarity = pair.queries.exact(index) @ pair.gallery.exact(others).T
    return similarity[others != index[:, None]].view(len(index), -1) if pair.alone else similarity
