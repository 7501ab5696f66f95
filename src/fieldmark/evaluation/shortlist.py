"""The ranks of the positives among the first few of a query, from products in low precision.

Recall@k, MAP@R and R-precision ask for the ranks up to max(k, R) alone. A positive with more negatives above it than
that matters no more, however many there are: so, tile by tile, each query learns how similar a negative must be to
matter, and soon few are. Which they may be is told by products of rows rounded to bfloat16, where the processor is
faster with these; how far such a product may be off follows from what rounding took from each row (Cauchy-Schwarz).
What is found so is compared in float32, and in float64 within its error. So all ranks up to max(k, R) are exact.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from fieldmark.evaluation.arrays import Rows
from fieldmark.evaluation.ranking import NegativeCounter, Pair, error_bound, full_precision, owners

CROWDED = 64  # above one candidate in so many, a tile is multiplied again in float32 as a whole
REFRESH = 8  # floors are raised when there are new candidates for one positive in so many


class ShortCounter(NegativeCounter):
    """Counts, tile by tile, the negatives above each positive whose rank can still be among the first.

    `ranks` are exact up to `depth` and up to the number of positives of the query; all others are larger than both.
    """

    def __init__(self, pair: Pair, part: slice, depth: int) -> None:
        super().__init__(pair, part)
        self.limit = self.positives.counts.clamp(min=depth)
        self.found = [0] * len(
            self.limit
        )  # per tile, at its first query: candidates since its floors were raised
        self.take, self.off = Rows.low, error_bound(pair.queries.dim)
        if bfloat16_is_faster(pair.queries.device):
            one, other = pair.queries.lost, pair.gallery.lost
            self.take, self.off = Rows.rounded, self.off + one + other + one * other

    def tiles(self) -> Iterator[tuple[Tensor, slice, slice]]:
        """Yield the tiles of `Pair.tiles`, in low precision where that is faster."""
        return self.pair.tiles(self.part, self.take)

    def add(self, similarity: Tensor, rows: slice, columns: slice) -> None:
        """Count the negatives among the similarities (B, T), in low precision, of `rows` and `columns`."""
        here = slice(rows.start - self.part.start, rows.stop - self.part.start)
        # What is at most `off` below a floor is at least that floor rounded, too: rounding keeps the order.
        floors = (self.floors[here] - self.off).to(similarity.dtype)
        promising = (similarity.amax(dim=1) >= floors).nonzero().flatten()
        some, column = (similarity[promising] >= floors[promising, None]).nonzero(as_tuple=True)
        row = promising[some]
        negative = self.pair.codes[row + rows.start] != self.pair.gallery_codes[column + columns.start]
        row, column = row[negative], column[negative]
        if len(row):
            self.count(row, column, self._similarities(row, column, rows, columns), rows, columns)
            self._raise_floors(here, len(row))

    def _similarities(self, row: Tensor, column: Tensor, rows: slice, columns: slice) -> Tensor:
        """Return the similarities (n,) in float32 of pairs within a tile."""
        left, right = self.pair.queries.low(rows), self.pair.gallery.low(columns)
        if len(row) * CROWDED > len(left) * len(right):
            with full_precision():
                return (left @ right.T)[row, column]
        return (left[row] * right[column]).sum(dim=1)

    def _raise_floors(self, here: slice, found: int) -> None:
        """Raise the floors of queries to their lowest positive that can still be among the first."""
        self.found[here.start] += found
        counts = self.positives.counts[here]
        if self.found[here.start] * REFRESH < int(counts.sum()):
            return
        self.found[here.start] = 0
        query = owners(counts)
        lost = query[self.ranks(here) > self.limit[here][query]]
        self.floors[here] = self.floors_from(torch.bincount(lost, minlength=len(counts)), here)


def bfloat16_is_faster(device: torch.device) -> bool:
    """Say whether a device multiplies in bfloat16 by instructions of its own; elsewhere that is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    own = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(own)
