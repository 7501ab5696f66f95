"""From a saliency map to a sampling grid: every position looks where the saliency near it draws it.

Source: Wang et al., "Fine-grained Retrieval Prompt Tuning", arXiv 2207.14465, eq. 4 and 5; the constants
(a Gaussian of 13 cells full width at half maximum on 31 cells, 30 replicated cells of padding) are those of
Recasens et al., "Learning to Zoom", arXiv 1809.03355.

The Gaussian is separable and so is the replicated border. Both sums of a quotient are therefore products of
the saliency map with one small matrix on each side, which hold kernel, border and coordinate.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fieldmark.engine.precision import full_precision


class SaliencySampler(nn.Module):
    """Saliency maps (B, 1, h, w) of a fixed size -> grids; kernel and coordinates are buffers, nothing is trained."""

    row_weights: Tensor
    row_moments: Tensor
    column_weights: Tensor
    column_moments: Tensor

    def __init__(self, cells: tuple[int, int], fwhm: float = 13, padding: int = 30) -> None:
        super().__init__()
        for axis, count in zip(("row", "column"), cells, strict=True):
            weights, moments = _axis(count, fwhm, padding)
            self.register_buffer(f"{axis}_weights", weights, persistent=False)
            self.register_buffer(f"{axis}_moments", moments, persistent=False)

    def forward(self, saliency: Tensor, output_size: tuple[int, int]) -> Tensor:
        """Return the grid (B, H, W, 2) for `grid_sample` with align_corners=True; x comes first."""
        # A map of zeros becomes uniform; a map with any mass stays as it is.
        mass = saliency + torch.finfo(saliency.dtype).tiny
        total = self.row_weights @ mass @ self.column_weights.mT
        across = self.row_weights @ mass @ self.column_moments.mT / total
        down = self.row_moments @ mass @ self.column_weights.mT / total
        mapping = (2 * torch.cat([across, down], dim=1) - 1).clamp(-1, 1)
        fine = interpolate(mapping, output_size, mode="bilinear", align_corners=True)
        return fine.permute(0, 2, 3, 1)


def saliency_grid(
    saliency: Tensor, output_size: int | tuple[int, int], fwhm: float = 13, padding: int = 30
) -> Tensor:
    """Eq. 4 and 5 of FRPT: a spatial probability map (B, 1, h, w) -> a sampling grid (B, H, W, 2) in [-1, 1].

    Wang et al., arXiv 2207.14465; the constants are those of Recasens et al., arXiv 1809.03355. `output_size` is
    H = W or (H, W) in pixels; `fwhm` (full width at half maximum of the Gaussian) and `padding` count cells of the
    map. The grid is for `grid_sample` with align_corners=True; x comes first. A uniform map is the identity, a
    salient region is magnified. The scale of the map does not matter. The grid is float32, or float64 for a map of
    float64. Raises ValueError for a map that has another shape or holds negative values, for a `fwhm` that is not
    positive and for a negative `padding`.

    >>> import torch
    >>> from fieldmark.methods.frpt import saliency_grid
    >>> grid = saliency_grid(torch.full((1, 1, 31, 31), 1 / 31**2), output_size=3)
    >>> grid.shape
    torch.Size([1, 3, 3, 2])
    >>> [round(x, 3) for x in grid[0, 1, :, 0].tolist()]  # the middle row: a uniform map changes nothing
    [-1.0, 0.0, 1.0]
    >>> picture = torch.arange(9.0).view(1, 1, 3, 3)
    >>> magnified = torch.nn.functional.grid_sample(picture, grid, align_corners=True)
    """
    if saliency.ndim != 4 or saliency.shape[1] != 1 or 0 in saliency.shape[2:]:
        raise ValueError(f"a saliency map has shape (B, 1, h, w), not {tuple(saliency.shape)}")
    if bool((saliency < 0).any()):
        raise ValueError("a saliency map has no negative values")
    size = (output_size, output_size) if isinstance(output_size, int) else output_size
    exact = full_precision(saliency)
    rows, columns = (max(2, count) for count in exact.shape[2:])  # a single cell acts as two equal cells
    spread = exact.expand(-1, -1, rows if exact.shape[2] == 1 else -1, columns if exact.shape[3] == 1 else -1)
    with torch.autocast(saliency.device.type, enabled=False):
        out: Tensor = SaliencySampler((rows, columns), fwhm, padding).to(spread)(spread, size)
    return out


def _axis(cells: int, fwhm: float, padding: int) -> tuple[Tensor, Tensor]:
    """Return (cells, cells) in float64: kernel weights, and weights times coordinate, from cell to cell.

    Cells are at 0 to 1; the padded ones lie outside and repeat the value of the border cell.
    """
    if cells < 2 or fwhm <= 0 or padding < 0:
        raise ValueError(f"cannot sample {cells} cells with fwhm {fwhm} and padding {padding}")
    indices = torch.arange(-padding, cells + padding, dtype=torch.float64)
    distance = indices[None, :] - torch.arange(cells, dtype=torch.float64)[:, None]
    kernel = torch.exp(-4 * math.log(2) * distance**2 / fwhm**2) * (distance.abs() <= padding)
    source = indices.long().clamp(0, cells - 1)
    empty = torch.zeros(cells, cells, dtype=torch.float64)
    weights = empty.index_add(1, source, kernel)
    moments = empty.index_add(1, source, kernel * indices / (cells - 1))
    return weights, moments
