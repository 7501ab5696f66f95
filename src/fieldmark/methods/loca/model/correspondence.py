"""Which patch of the reference view covers a patch of a query view: arithmetic on the crop boxes."""

from collections.abc import Sequence

import torch
from torch import Tensor

Box = Tensor | Sequence[float]
OUTSIDE = -1


def position_targets(
    reference_crop: Box,
    query_crop: Box,
    grid: tuple[int, int] | int,
    flipped: bool | Tensor = False,
    *,
    reference_grid: tuple[int, int] | int | None = None,
    query_size: int | None = None,
) -> Tensor:
    """Return h(i) for each patch of the query: the index of the reference patch under its centre, -1 outside.

    The target of the position loss of LOCA (Caron et al., arXiv 2212.02400), in closed form.
    `reference_crop` and `query_crop` are boxes (y, x, height, width) in the source picture, a single box (4,) or many
    (..., 4). `grid` is (rows, columns) of the query's patches, `reference_grid` that of the reference (None:
    the same). `flipped` says, for all boxes or for each, whether the query was mirrored left to right after
    cropping. Returns long (..., rows, columns) with values in {-1, 0 .. rows * columns of the reference - 1}.

    Whole-number boxes give what nearest resampling (half-pixel centres) of a mask of patch numbers gives: to the
    reference crop, from the query crop to `query_size` pixels per side (None: straight to the grid), then to
    the grid. Boxes with fractions are continuous: nothing is rounded to pixels. Raises RuntimeError for boxes
    whose shapes do not broadcast.

    >>> from fieldmark.methods.loca import position_targets
    >>> whole, right_half = (0, 0, 32, 32), (0, 16, 32, 32)  # y, x, height, width in pixels
    >>> position_targets(whole, right_half, grid=2)  # the reference has patches 0 1 / 2 3
    tensor([[ 1, -1],
            [ 3, -1]])
    >>> position_targets(whole, right_half, grid=2, flipped=True)
    tensor([[-1,  1],
            [-1,  3]])
    """
    reference, query = torch.as_tensor(reference_crop), torch.as_tensor(query_crop)
    device = torch.broadcast_tensors(reference, query)[0].device
    rows, columns = (grid, grid) if isinstance(grid, int) else grid
    cells = grid if reference_grid is None else reference_grid
    reference_rows, reference_columns = (cells, cells) if isinstance(cells, int) else cells
    row = _cells(reference[..., 0::2], query[..., 0::2], rows, reference_rows, query_size)
    column = _cells(reference[..., 1::2], query[..., 1::2], columns, reference_columns, query_size)
    flip = torch.as_tensor(flipped, device=device)[..., None]
    column = torch.where(flip, column.flip(-1), column)
    covered = (row[..., :, None] != OUTSIDE) & (column[..., None, :] != OUTSIDE)
    return torch.where(covered, row[..., :, None] * reference_columns + column[..., None, :], OUTSIDE)


def _cells(reference: Tensor, query: Tensor, patches: int, cells: int, size: int | None) -> Tensor:
    """Along one axis: the reference cell under the centre of each of the query's patches, -1 outside.

    `reference` and `query` are (..., 2): start and length. Everything is doubled or multiplied out, so that
    whole numbers stay exact.
    """
    start, length = query[..., :1], query[..., 1:]
    index = torch.arange(patches, device=query.device)
    if reference.is_floating_point() or query.is_floating_point():
        offset = start + (index + 0.5) * length / patches - reference[..., :1]
        cell = torch.floor(offset * cells / reference[..., 1:]).long()
        inside = (offset >= 0) & (offset < reference[..., 1:])
    else:
        pixel = _nearest(index, size, patches) if size else index
        offset = start + _nearest(pixel, length, size or patches) - reference[..., :1]
        cell = _nearest(offset, cells, reference[..., 1:])
        inside = (offset >= 0) & (offset < reference[..., 1:])
    return torch.where(inside, cell.clamp(0, cells - 1), OUTSIDE)


def _nearest(index: Tensor, source: Tensor | int, target: Tensor | int) -> Tensor:
    """Return the source pixel under the centre of pixel `index` when `source` pixels become `target`."""
    return torch.div((2 * index + 1) * source, 2 * target, rounding_mode="floor")
