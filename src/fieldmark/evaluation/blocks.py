"""Which of many similarities are at least a floor, found by the largest of each block of them."""

import math

import torch
from torch import Tensor

BLOCK = 32  # similarities of which the largest is taken before each of them is looked at


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
