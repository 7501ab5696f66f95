"""The prompt: equation 1 against conv2d, a map that sums to 1, and the identity at the start."""

import pytest
import torch
from torch.nn.functional import conv2d, grid_sample, interpolate

from fieldmark.base.blocks import parse
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.prompt import Prompt, large_convolution, on_cells
from fieldmark.methods.frpt.model.sampler import saliency_grid


def prompt(channels: int = 4, **changes: object) -> Prompt:
    fields = {"images": {"side": 32}, "train": {"steps": 1, "lr": 1e-3}, "kernel_size": 7, **changes}
    made = Prompt(channels, parse(FrptParams, fields, "frpt"))
    torch.manual_seed(0)
    torch.nn.init.normal_(made.weight, std=0.2)
    return made


@pytest.mark.parametrize(
    ("h", "w", "kernel"), [(8, 8, 7), (5, 9, 3), (6, 6, 15), (1, 1, 3), (16, 16, 1), (10, 12, 31)]
)
def test_the_large_convolution_is_conv2d(h: int, w: int, kernel: int) -> None:
    given = torch.randn(2, 3, h, w, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(1, 3, kernel, kernel, dtype=torch.float64, requires_grad=True)
    expected, got = conv2d(given, weight, padding=kernel // 2), large_convolution(given, weight)
    torch.testing.assert_close(got, expected)
    cotangent = torch.randn_like(expected)
    for a, b in zip(
        *(torch.autograd.grad(y, (given, weight), cotangent) for y in (got, expected)), strict=True
    ):
        torch.testing.assert_close(a, b)


def test_saliency_sums_to_one_and_keeps_the_size() -> None:
    saliency = prompt(256, kernel_size=31).saliency(torch.rand(2, 256, 14, 14))
    assert saliency.shape == (2, 1, 14, 14)
    torch.testing.assert_close(saliency.sum((1, 2, 3)), torch.ones(2))
    assert saliency.min() >= 0


def test_count_is_the_papers() -> None:
    counted = sum(p.numel() for p in prompt(256, kernel_size=31).parameters())
    assert counted == 31 * 31 * 256 == 246_016


def test_training_starts_with_the_picture_as_it_is() -> None:
    made = prompt()
    torch.nn.init.zeros_(made.weight)
    pictures = torch.rand(2, 3, 32, 32)
    warped = made(pictures, made.saliency(torch.rand(2, 4, 8, 8)))
    torch.testing.assert_close(warped, pictures, atol=1e-4, rtol=0)
    fresh = Prompt(4, parse(FrptParams, {"images": {"side": 32}, "train": {"steps": 1, "lr": 1}}, "frpt"))
    assert not fresh.weight.any()


def slowly_on_cells(saliency: torch.Tensor, cells: int) -> torch.Tensor:
    """A square map brought to `cells` a side: larger ones by cutting each place into `cells` x `cells` pieces."""
    old = saliency.shape[-1]
    if old < cells:
        return interpolate(saliency, (cells, cells), mode="bilinear", align_corners=True)
    pieces = saliency.repeat_interleave(cells, 2).repeat_interleave(cells, 3) / cells**2
    return pieces.unflatten(2, (cells, old)).unflatten(4, (cells, old)).sum((3, 5))


@pytest.mark.parametrize(("old", "cells"), [(56, 31), (32, 31), (7, 3), (6, 3), (9, 9)])
def test_a_peak_weighs_the_same_in_every_place(old: int, cells: int) -> None:
    """Decimated, a map of 56 x 56 would lose most of a peak between two of 31 x 31 cells, or none of it."""
    peaks = torch.eye(old * old, dtype=torch.float64).view(-1, 1, old, old)
    torch.testing.assert_close(on_cells(peaks, (cells, cells)).sum((1, 2, 3)), torch.ones(old * old).double())
    uniform = on_cells(torch.ones(1, 1, old, old).double(), (cells, cells))
    torch.testing.assert_close(uniform, torch.full_like(uniform, (old / cells) ** 2))


@pytest.mark.parametrize("size", [(8, 56), (56, 8), (31, 5)])
def test_each_side_of_a_map_has_its_own_length(size: tuple[int, int]) -> None:
    saliency = torch.rand(2, 1, *size)
    square = on_cells(saliency, (21, 21))
    across = torch.stack([on_cells(row[:, None], (1, 21)) for row in saliency.unbind(2)], 2)[:, :, :, 0]
    torch.testing.assert_close(square, on_cells(across, (21, 21)))


@pytest.mark.parametrize("size", [8, 31, 56])
def test_warps_by_the_public_grid_with_the_constants_asked_for(size: int) -> None:
    made, pictures = prompt(grid=21, fwhm=5, padding=9), torch.rand(2, 3, 32, 32)
    saliency = made.saliency(torch.rand(2, 4, size, size))
    coarse = slowly_on_cells(saliency, 21)
    expected = grid_sample(pictures, saliency_grid(coarse, 32, 5, 9), align_corners=True)
    torch.testing.assert_close(made(pictures, saliency), expected)


def test_gradients_are_right() -> None:
    made = prompt(2, grid=5, fwhm=2, padding=4, kernel_size=3).double()
    features, pictures = torch.rand(1, 2, 4, 4).double(), torch.rand(1, 1, 6, 6).double()

    def warped(weight: torch.Tensor) -> torch.Tensor:
        scores = large_convolution(features, weight)
        return made(pictures, scores.flatten(1).softmax(1).view_as(scores))

    assert torch.autograd.gradcheck(warped, made.weight.detach().requires_grad_())


def test_finite_for_extreme_scores_under_autocast() -> None:
    made = prompt()
    with torch.autocast("cpu", torch.bfloat16):
        saliency = made.saliency(1e4 * torch.rand(1, 4, 8, 8))
        warped = made(torch.rand(1, 3, 32, 32), saliency)
    warped.sum().backward()
    assert torch.isfinite(warped).all()
    assert made.weight.grad is not None
    assert torch.isfinite(made.weight.grad).all()
