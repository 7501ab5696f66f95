"""Products of the rows of queries and a gallery, in tiles that stay in the cache of a processor.

Several processes may have a share of the tiles each, and several threads of a process may look through them.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from fieldmark.evaluation.arrays import CHECKED, Rows

Job = TypeVar("Job")
Result = TypeVar("Result")
TILE = 1024  # queries and gallery rows of a tile: its similarities stay in the cache of a processor
GPU_TILE = 8192
GROWTH = 16  # the first tiles have so much fewer gallery rows: what they tell spares work in later ones
POSITIVES = 2**23  # positives whose similarities are held at once
PAIRS = 2**22  # numbers that a product of rows may hold at once
BLOCK = 32  # similarities of which the largest is taken before each of them is looked at
DENSE = 64  # above one unsure pair in so many, a tile is computed again as a whole


def error_bound(dim: int) -> float:
    """Return a bound on the error of a float32 dot product of two unit rows that were rounded to float32.

    Each of `dim` products and sums rounds by at most 2**-24 of rows of length one (Higham, "Accuracy and Stability of
    Numerical Algorithms", section 3.1); rounding the rows
    themselves adds as much for each of the two, and rounding what they are compared with once more.
    """
    unit = 2.0**-24
    return 1.01 * (dim + 4) * unit / (1 - (dim + 4) * unit)


class Tile(NamedTuple):
    """The queries and the gallery rows of a tile; `mirrored`: its columns are queries of its rows, too."""

    rows: slice
    columns: slice
    mirrored: bool


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

    def tiles(self, part: slice, times: int = 1) -> Iterator[Tile]:
        """Yield the tiles of a part of the queries, `times` TILE on a side; the first have few gallery rows.

        Where each query is searched among the others half of them are enough: each serves twice.
        """
        side = GPU_TILE if self.codes.device.type == "cuda" else TILE * times
        mirrored = self.alone and part == slice(0, len(self.queries))
        wholes = _growing(len(self.gallery), side)
        for number, columns in enumerate(wholes):
            for rows in wholes[number:] if mirrored else cut(part, side):
                yield Tile(rows, columns, mirrored and rows != columns)

    def product(self, tile: Tile, take: Callable[[Rows, slice], Tensor] = Rows.low) -> Tensor:
        """Return the similarities (B, T) of a tile, that of a query to itself being -inf.

        They are products of the rows that `take` gives, in float32 or lower, to be computed under `plain_products`.
        """
        rows, columns, _ = tile
        similarity = take(self.queries, rows) @ take(self.gallery, columns).T
        if self.alone:
            _hide_self(similarity, rows, columns)
        return similarity

    def sides(
        self, tile: Tile, take: Callable[[Rows, slice], Tensor] = Rows.low
    ) -> Iterator[tuple[Tensor, slice, slice]]:
        """Yield the similarities (B, T) of a tile with its queries and gallery rows; a mirrored one has two sides."""
        similarity = self.product(tile, take)
        yield similarity, tile.rows, tile.columns
        if tile.mirrored:
            yield similarity.T, tile.columns, tile.rows

    def exact(self, row: Tensor, column: Tensor, rows: slice, columns: slice) -> Tensor:
        """Return the similarities (n,) in float64 of pairs within a tile."""
        if len(row) * DENSE > (rows.stop - rows.start) * (columns.stop - columns.start):
            return (self.queries.exact(rows) @ self.gallery.exact(columns).T)[row, column]
        return self.dots(row + rows.start, (column + columns.start)[:, None])[:, 0]

    def similarities(self, query: Tensor) -> Tensor:
        """Return the similarities (n, G) in float64 of queries to the whole gallery."""
        left = self.queries.exact(query)
        wholes = cut(slice(0, len(self.gallery)), CHECKED)
        return torch.cat([left @ self.gallery.exact(columns).T for columns in wholes], dim=1)

    def dots(self, query: Tensor, others: Tensor) -> Tensor:
        """Return the similarities (n, W) in float64 of each query (n,) to gallery rows (n, W) of its own."""
        step = max(PAIRS // (self.queries.dim * others.shape[1]), 1)
        return torch.cat(
            [
                self.products(left[:, None], right)[:, 0]
                for left, right in zip(query.split(step), others.split(step), strict=True)
            ]
        )

    def products(self, queries: Tensor, others: Tensor) -> Tensor:
        """Return the similarities (K, A, M) in float64 of groups of queries (K, A) to gallery rows (K, M)."""
        left = self.queries.exact(queries.flatten()).view(*queries.shape, -1)
        return left @ self.gallery.exact(others.flatten()).view(*others.shape, -1).mT


class Share(Protocol):
    """The part of one process; all of them must call the same methods in the same order, with the same shapes."""

    def mine(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Yield the jobs of this process; each job is that of one."""
        ...

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of the values of all processes."""
        ...

    def stacked(self, values: Tensor) -> Tensor:
        """Return the values (...) of all P processes, (P, ...)."""
        ...


class Everything:
    """The part of a process that is alone."""

    def mine(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Yield all jobs."""
        yield from jobs

    def total(self, values: Tensor) -> Tensor:
        """Return the values."""
        return values

    def stacked(self, values: Tensor) -> Tensor:
        """Return the values, (1, ...)."""
        return values[None]


ALONE: Share = Everything()


def cut(whole: slice, side: int) -> list[slice]:
    """Cut a slice into slices of `side` and a rest."""
    return [slice(at, min(at + side, whole.stop)) for at in range(whole.start, whole.stop, side)]


def _growing(length: int, side: int) -> list[slice]:
    """Cut so many rows into slices of `side`, the first of which are shorter: each as long as all before it."""
    first: list[slice] = []
    at = 0
    while at < min(side, length):
        first.append(slice(at, min(at + max(at, side // GROWTH, 1), length)))
        at = first[-1].stop
    return first + cut(slice(at, length), side)


def _hide_self(similarity: Tensor, rows: slice, columns: slice) -> None:
    """Set the similarity of each query to itself to -inf."""
    start, stop = max(rows.start, columns.start), min(rows.stop, columns.stop)
    both = torch.arange(start, max(start, stop), device=similarity.device)
    similarity[both - rows.start, both - columns.start] = -torch.inf


def reaching(similarity: Tensor, floors: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns (n,) of similarities (B, T): all that are at least the floor (B,) of their row.

    Few others are among them. Only blocks whose largest similarity is enough are looked through. A mirrored tile is
    seen from its other side, so that numbers that lie side by side in memory are compared together there, too.
    """
    side = 1 if similarity.is_contiguous() else 0
    tile, floors = _ordered(similarity if side else similarity.T, floors)
    size = math.gcd(BLOCK, tile.shape[side])
    blocks = tile.unflatten(side, (size, -1))  # (B, S, W), or (S, W, B) of a mirrored tile
    first, last = _true(blocks.amax(dim=side) >= (floors[:, None] if side else floors))
    row, block = (first, last) if side else (last, first)
    inside = blocks[row, :, block] if side else blocks[:, block, row].T
    some, place = _true(inside >= floors[row, None])
    return row[some], place * (tile.shape[side] // size) + block[some]


def _ordered(similarity: Tensor, floors: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers in the same order that are compared faster; a floor up to 0 becomes the least of all.

    Numbers of bfloat16 from 0 on are ordered as their bits are, read as integers; those of negative ones are negative.
    """
    if similarity.dtype != torch.bfloat16:
        return similarity, floors
    least = torch.iinfo(torch.int16).min
    return similarity.view(torch.int16), floors.view(torch.int16).masked_fill(floors <= 0, least)


def _true(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows and columns (n,) where a matrix is true, as `nonzero` does in twice the time."""
    flat = matrix.reshape(-1).nonzero().flatten()
    return flat // matrix.shape[1], flat % matrix.shape[1]


def in_threads(
    function: Callable[[Job], Result], jobs: Iterable[Job], device: torch.device
) -> Iterator[Result]:
    """Yield `function(job)` for each job, in order; on a CPU as many side by side as torch uses threads.

    What is yielded is taken by the calling thread, in which torch uses one thread meanwhile: threads of its own would
    wait for cores.
    """
    count = torch.get_num_threads()
    if device.type != "cpu" or count == 1:
        yield from map(function, jobs)
        return
    waiting: deque[Future[Result]] = deque()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) > count:  # few results may wait: each holds a tile
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(count)


@contextmanager
def plain_products() -> Iterator[None]:
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
