"""Pooling against loops."""

import pytest
import torch

from fieldmark.base.errors import UserError
from fieldmark.vision.libraries import Features
from fieldmark.vision.pooling import generalised_mean, pool


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
