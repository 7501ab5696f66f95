"""Pooling against loops."""

import math

import pytest
import torch

from fieldmark.base.errors import UserError
from fieldmark.vision.libraries import Features
from fieldmark.vision.pooling import generalised_mean, pool, regional_maxima, regions


@pytest.fixture
def features() -> Features:
    generator = torch.Generator().manual_seed(0)
    return Features(torch.rand(2, 3, 4, 5, generator=generator), torch.rand(2, 3, generator=generator))


def test_pools_equal_loops(features: Features) -> None:
    for picture in range(2):
        for channel in range(3):
            places = [float(v) for v in features.feature_map[picture, channel].flatten()]
            expected = {
                "average": sum(places) / 20,
                "max": max(places),
                "gem": (sum(v**3 for v in places) / 20) ** (1 / 3),
                "cls": float(features.cls[picture, channel]),  # type: ignore[index]
            }
            for name, value in expected.items():
                assert float(pool(features, name)[picture, channel]) == pytest.approx(value, rel=1e-5)


def test_gem_limits() -> None:
    places = torch.rand(2, 3, 7, dtype=torch.float64) + 0.1
    torch.testing.assert_close(generalised_mean(places, 1.0), places.mean(2))
    torch.testing.assert_close(generalised_mean(places, 400.0), places.amax(2), rtol=0.02, atol=0)
    assert torch.isfinite(generalised_mean(torch.full((1, 1, 3), -1.0))).all()


def test_gem_gradcheck() -> None:
    places = (torch.rand(2, 2, 5, dtype=torch.float64) + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(generalised_mean, (places,))


def test_cls_needs_a_class_token(features: Features) -> None:
    with pytest.raises(UserError, match="class token"):
        pool(Features(features.feature_map), "cls")


def slow_regional_maxima(values: list[list[list[float]]]) -> list[float]:
    """R-MAC of one map, [channel][row][column], by loops over regions, channels and cells."""
    channels, height, width = len(values), len(values[0]), len(values[0][0])
    short, long = min(height, width), max(height, width)
    best, extra = math.inf, 0
    for number in range(2, 8):
        miss = abs((short**2 - short * (long - short) / (number - 1)) / short**2 - 0.4)
        if long > short and miss < best:
            best, extra = miss, number - 1
    boxes = [(0, 0, height, width)]
    for level in (1, 2, 3):
        side = math.floor(2 * short / (level + 1))
        down, along = level + (extra if height > width else 0), level + (extra if width > height else 0)
        for row in range(down):
            for column in range(along):
                top = math.floor(row * (height - side) / (down - 1) + 1e-9) if down > 1 else 0
                left = math.floor(column * (width - side) / (along - 1) + 1e-9) if along > 1 else 0
                boxes.append((top, left, side, side))
    out = [0.0] * channels
    for top, left, rows, columns in boxes:
        if not rows:
            continue
        peaks = [
            max(values[c][y][x] for y in range(top, top + rows) for x in range(left, left + columns))
            for c in range(channels)
        ]
        length = math.sqrt(sum(peak**2 for peak in peaks))
        out = [total + peak / length for total, peak in zip(out, peaks, strict=True)]
    return out


@pytest.mark.parametrize("shape", [(7, 7), (12, 12), (4, 9), (11, 5), (1, 1), (2, 3), (5, 30)])
def test_rmac_equals_loops(shape: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)
    expected = torch.tensor([slow_regional_maxima(one.tolist()) for one in maps], dtype=torch.float64)
    torch.testing.assert_close(regional_maxima(maps), expected)
    torch.testing.assert_close(pool(Features(maps), "rmac"), expected)


def test_regions_lie_within_the_map_and_a_square_has_fourteen() -> None:
    assert len(regions(7, 7)) == 1 + 4 + 9
    for height, width in ((7, 7), (6, 14), (24, 5), (3, 3)):
        for top, left, side in regions(height, width):
            assert 0 < side <= min(height, width)
            assert 0 <= top <= height - side
            assert 0 <= left <= width - side
    assert max(left + side for _, left, side in regions(6, 14)) == 14  # they reach the far edge


def test_rmac_gradcheck() -> None:
    maps = torch.rand(1, 2, 4, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(regional_maxima, (maps,))
