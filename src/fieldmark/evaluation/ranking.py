"""How many negatives lie above each positive of a query, counted in tiles, without sorting any ranking.

The similarities of positives are computed in float64; they are few. All similarities are computed once in float32,
tile by tile. The error of such a similarity is bounded (`error_bound`), so that most negatives are known to lie above
or below a positive. Only the pairs within that bound are computed again in float64. The counts are therefore exactly
those of float64, at the cost of float32.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fieldmark.evaluation.positives import measure_positives
from fieldmark.evaluation.tiles import DENSE, TILE, Pair, error_bound

MANY = 16  # above one candidate in so many, all similarities of a tile are looked up together
FEW = 24  # up to so many bars, to hold each against a tile is faster than bisection


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

        def exact(some: Tensor) -> Tensor:
            return self.pair.exact(row[some], column[some], rows, columns)

        self.count(row + first, similarity[row, column], exact)

    def floors_from(self, skipped: Tensor) -> Tensor:
        """Return the similarities (N,) in float32 below which a negative reaches none of the bars of its query.

        `skipped` (N,): so many of the lowest bars do not count. A query without others has inf.
        """
        lowest, left = self.positives.start[:-1] + skipped, skipped < self.positives.counts
        floors = torch.full(lowest.shape, torch.inf, device=lowest.device)
        # Rounded down, so that a similarity in float32 that may reach the lowest bar is never left out.
        floors[left] = (self.positives.bars[lowest[left]] - 2 * self.error).float()
        return floors

    def count(self, query: Tensor, similarity: Tensor, exact: Callable[[Tensor], Tensor]) -> None:
        """Count negatives (n,) of queries (n,) within the part, by their similarities (n,).

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

    def ranks(self) -> Tensor:
        """Return the ranks (P,) of the positives of the queries, nearest first, from 1."""
        start = self.positives.start
        query = owners(self.positives.counts)
        order = torch.arange(len(query), device=start.device) - start[query]  # from 0
        # What reaches as many bars as the k-th nearest has below it and at it ranks above it.
        sums = torch.cat([self.beaten.new_zeros(1), self.beaten.cumsum(0)])
        ranks: Tensor = order + 1 + sums[start[query + 1]] - sums[start[query + 1] - 1 - order]
        return ranks


def owners(counts: Tensor) -> Tensor:
    """Return for each entry of flat lists of `counts` (n,) entries whose it is."""
    return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)


def _at_or_above(similarity: Tensor, bars: Tensor) -> Tensor:
    """Count the similarities (B, T) of each row that lie at or above each of its bars (B, R): (B, R) int64."""
    held = torch.empty_like(similarity)
    counts = [torch.ge(similarity, bar[:, None], out=held).sum(dim=1) for bar in bars.unbind(1)]
    return torch.stack(counts, dim=1).long()  # sums of ones are exact in float32 up to 2**24
