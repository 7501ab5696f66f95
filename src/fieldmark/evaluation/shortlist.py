"""The ranks of the positives among the first few of a query, from products in low precision.

Recall@k, MAP@R and R-precision ask for the ranks up to max(k, R) alone. A positive with more negatives above it than
that matters no more, however many there are: so, tile by tile, each query learns how similar a negative must be to
matter, and soon few are. Which they may be is told by products of rows rounded to bfloat16, where the processor is
faster with these; how far such a product may be off follows from what rounding took from each row (Cauchy-Schwarz).
What is found so is compared in float32, and in float64 within its error. So all ranks up to max(k, R) are exact.

Tiles are looked through in several threads, by what is known when they begin; one thread adds up what they find. What
is not yet known makes them find more than need be, never less.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Rows
from fieldmark.evaluation.ranking import NegativeCounter, owners
from fieldmark.evaluation.tiles import Pair, Share, Tile, error_bound, in_threads, reaching

CROWDED = 64  # above one candidate in so many, a tile is multiplied again in float32 as a whole
WIDER = 2  # times the side of a tile in float32, for half as many bytes a number and less to do for each
REFRESH = 8  # floors are raised when there are new candidates for one positive in so many


class Found(NamedTuple):
    """Pairs of queries (n,) and gallery rows (n,), with their similarities (n,) in float32, or in float64 if exact."""

    query: Tensor
    other: Tensor
    value: Tensor


class ShortCounter(NegativeCounter):
    """Counts the negatives above each positive whose rank can still be among the first.

    `ranks` are exact up to `limit`, the larger of `depth` and the number of positives of the query; all others are the
    next after it.
    """

    def __init__(self, pair: Pair, part: slice, depth: int) -> None:
        super().__init__(pair, part)
        self.limit = self.positives.counts.clamp(min=depth)
        self.low, self.off = Rows.low, error_bound(pair.queries.dim)
        if bfloat16_is_faster(pair.queries.device):
            one, other = pair.queries.lost, pair.gallery.lost
            self.low, self.off = Rows.rounded, self.off + one + other + one * other

    def run(self, share: Share) -> None:
        """Count in all tiles, of which this process has a share.

        What a process no longer looks for it has itself found beyond the limit, and so have all together.
        """
        tiles = share.mine(self.pair.tiles(self.part, WIDER))
        waiting: list[Found] = []
        pairs = 0
        for found in in_threads(self.find, tiles, self.beaten.device):
            waiting += found
            pairs += sum(len(each.query) for each in found)
            if pairs * REFRESH >= len(self.beaten):
                self._take(waiting)
                self._raise_floors()
                waiting, pairs = [], 0
        self._take(waiting)
        self.beaten = share.total(self.beaten)

    def ranks(self) -> Tensor:
        """Return the ranks (P,) of the positives of the queries, nearest first, from 1."""
        return torch.minimum(super().ranks(), self.limit[owners(self.positives.counts)] + 1)

    def find(self, tile: Tile) -> list[Found]:
        """Return the negatives of a tile that may reach a positive that matters."""
        return [self._find(*side) for side in self.pair.sides(tile, self.low)]

    def _find(self, similarity: Tensor, rows: slice, columns: slice) -> Found:
        floors = self.floors[rows.start - self.part.start : rows.stop - self.part.start]
        # What is at most `off` below a floor is at least that floor rounded, too: rounding keeps the order.
        row, column = reaching(similarity, (floors - self.off).to(similarity.dtype))
        negative = self.pair.codes[row + rows.start] != self.pair.gallery_codes[column + columns.start]
        row, column = row[negative], column[negative]
        value = self._similarities(row, column, rows, columns)
        near = (value >= floors[row]).nonzero().flatten()
        return Found(row[near] + rows.start, column[near] + columns.start, value[near])

    def _similarities(self, row: Tensor, column: Tensor, rows: slice, columns: slice) -> Tensor:
        """Return the similarities (n,) of pairs within a tile: in float32, or in float64 where they are many."""
        if len(row) * CROWDED > (rows.stop - rows.start) * (columns.stop - columns.start):
            return self.pair.exact(row, column, rows, columns)
        left, right = self.pair.queries.low(rows), self.pair.gallery.low(columns)
        return left.index_select(0, row).mul_(right.index_select(0, column)).sum(dim=1)

    def _take(self, found: list[Found]) -> None:
        """Count what was found in some tiles."""
        for dtype in (torch.float32, torch.float64):
            alike = [each for each in found if each.value.dtype == dtype]
            if alike:
                self._take_alike(*(torch.cat(parts) for parts in zip(*alike, strict=True)))

    def _take_alike(self, query: Tensor, other: Tensor, value: Tensor) -> None:
        def exact(some: Tensor) -> Tensor:
            return self.pair.dots(query[some], other[some, None])[:, 0]

        self.take(self.reached(query - self.part.start, value, exact))

    def _raise_floors(self) -> None:
        """Raise the floor of each query to its lowest positive that can still be among the first."""
        counts = self.positives.counts
        query = owners(counts)
        lost = query[self.ranks() > self.limit[query]]
        self.floors = self.floors_from(torch.bincount(lost, minlength=len(counts)))


def bfloat16_is_faster(device: torch.device) -> bool:
    """Say whether a device multiplies in bfloat16 by instructions of its own; elsewhere that is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    own = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(own)
