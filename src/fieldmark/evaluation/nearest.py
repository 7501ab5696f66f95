"""The nearest gallery rows of each query, gathered tile by tile in float32 and put in order in float64."""

from typing import NamedTuple

import torch
from torch import Tensor

from fieldmark.evaluation.ranking import TIE
from fieldmark.evaluation.tiles import PAIRS, Pair, Share, error_bound, reaching

GRAIN = TIE / 16  # keys that differ by less are equal but for rounding
SPARE = 8  # rows that are gathered beyond those asked for, since float32 may put near ones in another order


class Found(NamedTuple):
    """Similarities (B, W) in float32 and gallery rows (B, W) of B queries."""

    values: Tensor
    others: Tensor


class Nearest:
    """Gathers for each query of a part the `kept` rows with the largest keys.

    The key is the similarity, less TIE for a row with the label of the query: among equals, others come first.
    """

    def __init__(self, pair: Pair, part: slice, kept: int) -> None:
        self.pair, self.part, self.kept = pair, part, kept
        self.width = min(kept + SPARE, len(pair.gallery) - pair.alone)
        shape, device = (part.stop - part.start, self.width), pair.codes.device
        self.values = torch.full(shape, -torch.inf, device=device)  # in float32
        self.index = torch.zeros(shape, dtype=torch.int64, device=device)

    def look(self, similarity: Tensor, rows: slice, columns: slice) -> Found:
        """Return the largest similarities (B, T) of `rows` and `columns`; several threads may call this.

        What is not yet known of other tiles makes them more than need be, never fewer.
        """
        floors = self.values[rows.start - self.part.start : rows.stop - self.part.start, -1]
        row, column = reaching(similarity, floors)
        if len(row) > similarity.shape[0] * self.width:
            values, index = similarity.topk(min(self.width, similarity.shape[1]), dim=1)
        else:
            values, index = _best(row, similarity[row, column], column, len(similarity), self.width)
        return Found(values, index + columns.start)

    def take(self, found: Found, rows: slice) -> None:
        """Keep what is among the nearest of queries `rows`."""
        here = slice(rows.start - self.part.start, rows.stop - self.part.start)
        values, place = torch.cat([self.values[here], found.values], dim=1).topk(self.width, dim=1)
        index = torch.cat([self.index[here], found.others], dim=1)
        self.values[here], self.index[here] = values, index.gather(1, place)

    def unite(self, share: Share) -> None:
        """Keep the best of what all processes have gathered."""
        if not self.kept:
            return
        values, place = share.stacked(self.values).movedim(0, 1).flatten(1).topk(self.width, dim=1)
        self.index = share.stacked(self.index).movedim(0, 1).flatten(1).gather(1, place)
        self.values = values

    def ordered(self) -> tuple[Tensor, Tensor]:
        """Return the rows (n, K) by falling key, the earlier one first among equals, and the keys, in float64."""
        if not self.kept:
            return self.index[:, :0], self.values[:, :0].double()
        keys, index = _sorted(self._keys(self.index), self.index, self.kept)
        if self.width < len(self.pair.gallery) - self.pair.alone:
            # What was left out is at most as similar, in float32, as the last that was gathered.
            missed = self.values[:, -1].double() + error_bound(self.pair.queries.dim)
            doubtful = (keys[:, -1] <= missed).nonzero().flatten()
            for few in doubtful.split(max(PAIRS // len(self.pair.gallery), 1)):
                keys[few], index[few] = self._whole(few)
        return index, keys

    def _keys(self, index: Tensor) -> Tensor:
        """Return the keys (n, W) of the gathered rows."""
        query = torch.arange(self.part.start, self.part.stop, device=index.device)
        same = self.pair.codes[query][:, None] == self.pair.gallery_codes[index]
        return self.pair.dots(query, index) - TIE * same

    def _whole(self, few: Tensor) -> tuple[Tensor, Tensor]:
        """Rank the whole gallery for a few queries: so many rows are equal that those gathered are not enough."""
        query = few + self.part.start
        keys = self.pair.similarities(query)
        keys -= TIE * (self.pair.codes[query][:, None] == self.pair.gallery_codes)
        if self.pair.alone:
            keys[torch.arange(len(few)), query] = -torch.inf
        everything = torch.arange(keys.shape[1], device=keys.device).expand_as(keys)
        return _sorted(keys, everything, self.kept)


def _best(row: Tensor, value: Tensor, place: Tensor, rows: int, width: int) -> tuple[Tensor, Tensor]:
    """Lay the largest values of each row, with their places, side by side: two (rows, width), padded with -inf."""
    order = value.argsort(descending=True, stable=True)
    order = order[row[order].argsort(stable=True)]
    row = row[order]
    counts = torch.bincount(row, minlength=rows)
    rank = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    kept = rank < width
    values = torch.full((rows, width), -torch.inf, device=row.device)
    places = torch.zeros((rows, width), dtype=torch.int64, device=row.device)
    values[row[kept], rank[kept]] = value[order][kept]
    places[row[kept], rank[kept]] = place[order][kept]
    return values, places


def _sorted(keys: Tensor, index: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """Return the largest `kept` keys (n, kept) and their index; of equal keys, the one with the lowest index."""
    index, order = index.sort(dim=1)
    keys = keys.gather(1, order)
    order = (keys / GRAIN).round().argsort(dim=1, descending=True, stable=True)[:, :kept]
    return keys.gather(1, order), index.gather(1, order)
