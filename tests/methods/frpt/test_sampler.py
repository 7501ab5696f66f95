"""The sampling grid: equal to equations 4 and 5 summed cell by cell, the identity where it must be."""

import math

import pytest
import torch
from torch import Tensor

from fieldmark.methods.frpt import saliency_grid
from fieldmark.methods.frpt.model.sampler import SaliencySampler


def slow_mapping(saliency: Tensor, fwhm: float, padding: int) -> Tensor:
    """Eq. 4 and 5 at each cell, over the replicated border: (h, w) -> (h, w, 2), x first, in [-1, 1]."""
    h, w = saliency.shape
    out = torch.zeros(h, w, 2, dtype=torch.float64)
    for i in range(h):
        for j in range(w):
            across = down = total = 0.0
            for m in range(max(-padding, i - padding), min(h + padding, i + padding + 1)):
                for n in range(max(-padding, j - padding), min(w + padding, j + padding + 1)):
                    value = float(saliency[min(max(m, 0), h - 1), min(max(n, 0), w - 1)])
                    sigma = fwhm / (2 * math.sqrt(2 * math.log(2)))
                    mass = value * math.exp(-((m - i) ** 2 + (n - j) ** 2) / (2 * sigma**2))
                    across += mass * n / (w - 1)
                    down += mass * m / (h - 1)
                    total += mass
            out[i, j, 0], out[i, j, 1] = 2 * across / total - 1, 2 * down / total - 1
    return out.clamp(-1, 1)


def random_map(h: int, w: int, sharpness: float = 2.0, seed: int = 0) -> Tensor:
    scores = sharpness * torch.randn(1, 1, h, w, generator=torch.Generator().manual_seed(seed)).double()
    return scores.flatten(1).softmax(1).view_as(scores)


def identity(height: int, width: int) -> Tensor:
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)


@pytest.mark.parametrize(("h", "w", "fwhm", "padding"), [(6, 5, 3.0, 5), (4, 7, 13.0, 4), (5, 5, 2.0, 1)])
def test_equals_the_sums_cell_by_cell(h: int, w: int, fwhm: float, padding: int) -> None:
    saliency = random_map(h, w)
    got = saliency_grid(saliency, (h, w), fwhm, padding)[0]
    torch.testing.assert_close(got, slow_mapping(saliency[0, 0], fwhm, padding), atol=1e-9, rtol=0)


@pytest.mark.parametrize("cells", [(31, 31), (56, 56), (8, 8), (14, 7), (2, 2), (1, 1), (1, 5)])
@pytest.mark.parametrize("size", [224, 128, 33, 2, (96, 160), (7, 300)])
def test_a_uniform_map_is_the_identity(cells: tuple[int, int], size: int | tuple[int, int]) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    grid = saliency_grid(torch.full((2, 1, *cells), 1 / math.prod(cells)), size)
    assert grid.shape == (2, height, width, 2)
    pixels = (grid - identity(height, width)) * torch.tensor([width - 1, height - 1]) / 2
    assert pixels.abs().max() < 0.5  # the public promise
    assert pixels.abs().max() < 0.01  # what is reached


def test_a_picture_passes_a_uniform_map_unchanged() -> None:
    picture = torch.rand(1, 3, 20, 30)
    grid = saliency_grid(torch.ones(1, 1, 31, 31) / 961, (20, 30))
    torch.testing.assert_close(
        torch.nn.functional.grid_sample(picture, grid, align_corners=True), picture, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("spot", [(15, 15), (5, 22), (0, 0), (30, 3)])
@pytest.mark.parametrize("background", [0.05, 1e-4, 0.0])
def test_a_hot_spot_magnifies_and_stays_monotone(spot: tuple[int, int], background: float) -> None:
    saliency = torch.full((1, 1, 31, 31), background)
    saliency[0, 0, spot[0], spot[1]] = 1.0
    grid = saliency_grid(saliency / saliency.sum(), 124)[0]
    assert torch.isfinite(grid).all()
    assert grid.abs().max() <= 1
    across, down = grid[..., 0].diff(dim=1), grid[..., 1].diff(dim=0)
    assert across.min() > -1e-5
    assert down.min() > -1e-5
    row, column = (min(max(place * 4, 8), 115) for place in spot)
    plain = 2 / 123
    assert (
        across[row, column - 8 : column + 8].mean() < plain
    )  # smaller steps: more output for the same input
    assert down[row - 8 : row + 8, column].mean() < plain


def test_only_proportions_matter_and_nothing_salient_is_uniform() -> None:
    saliency = random_map(9, 9).float()
    torch.testing.assert_close(saliency_grid(saliency * 7, 20), saliency_grid(saliency, 20))
    torch.testing.assert_close(saliency_grid(saliency * 0, 20)[0], identity(20, 20), atol=1e-5, rtol=0)


def test_places_out_of_the_kernels_reach_stay_finite() -> None:
    saliency = torch.zeros(1, 1, 9, 9)
    saliency[0, 0, 0, 0] = 1
    grid = saliency_grid(saliency, 9, fwhm=2, padding=2)
    torch.testing.assert_close(grid[0, 8, 8], torch.ones(2))  # nothing in reach: stays where it is


def test_gradients_are_right() -> None:
    saliency = random_map(4, 3, sharpness=1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: saliency_grid(s, (5, 4), 3.0, 3), saliency)


def test_half_precision_is_raised_also_under_autocast() -> None:
    saliency = random_map(31, 31)
    with torch.autocast("cpu", torch.bfloat16):
        half = saliency_grid(saliency.bfloat16(), 64)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, saliency_grid(saliency.float(), 64), atol=0.01, rtol=0)


def test_the_gaussian_is_no_parameter() -> None:
    sampler = SaliencySampler((31, 31))
    assert not list(sampler.parameters())
    assert len(list(sampler.buffers())) == 4
    assert not sampler.state_dict()


@pytest.mark.parametrize("shape", [(1, 31, 31), (1, 2, 3, 3), (1, 1, 0, 3)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        saliency_grid(torch.ones(shape), 8)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        saliency_grid(-torch.ones(1, 1, 3, 3), 8)
    for wrong in ({"fwhm": 0}, {"padding": -1}):
        with pytest.raises(ValueError, match="cannot sample"):
            saliency_grid(torch.ones(1, 1, 3, 3), 8, **wrong)
