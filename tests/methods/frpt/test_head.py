"""The head: equations 7 to 9 against slow references and torch's own instance normalisation."""

import pytest
import torch
from torch import nn

from fieldmark.methods.frpt.model.head import (
    AttentionHead,
    AwarenessHead,
    ReleaseHead,
    build_head,
    instance_normalised,
    mix,
)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def maps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_equals_a_slow_reference() -> None:
    head, given = AwarenessHead(16, 8).double(), maps(3, 16, 4, 5)
    squeeze, excite = head.attention.squeeze.weight, head.attention.excite.weight
    expected = torch.empty_like(given)
    for b in range(3):
        means = torch.stack([given[b, c].mean() for c in range(16)])
        weights = 1 / (1 + torch.exp(-(excite @ (squeeze @ means).clamp(min=0))))
        for c in range(16):
            one = given[b, c]
            normal = (one - one.mean()) / torch.sqrt(one.var(unbiased=False) + 1e-5)
            expected[b, c] = weights[c] * one + (1 - weights[c]) * normal
    torch.testing.assert_close(head(given), expected)


def test_instance_normalisation_is_torchs() -> None:
    given = maps(2, 5, 6, 7)
    torch.testing.assert_close(instance_normalised(given), nn.InstanceNorm2d(5)(given))


def test_weight_one_passes_and_weight_zero_normalises() -> None:
    given = 5 + 3 * maps(2, 4, 16, 16)
    torch.testing.assert_close(mix(given, torch.ones(2, 4, 1, 1)), given)
    normal = mix(given, torch.zeros(2, 4, 1, 1))
    torch.testing.assert_close(normal.mean((2, 3)), torch.zeros(2, 4).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(
        normal.var((2, 3), unbiased=False), torch.ones(2, 4).double(), atol=1e-5, rtol=0
    )


def test_without_normalisation_unwanted_channels_are_weakened() -> None:
    head, given = AttentionHead(16, 8).double(), maps(2, 16, 4, 4)
    torch.testing.assert_close(head(given), head.attention(given) * given)


def test_average_pooling_cannot_see_the_normalised_part() -> None:
    """The paper's two ablations differ by 2 points on CUB; by its own equations their embeddings are equal."""
    with_in, given = AwarenessHead(16, 8).double(), maps(2, 16, 4, 4) + 1
    without = AttentionHead(16, 8).double()
    without.load_state_dict(with_in.state_dict())
    torch.testing.assert_close(with_in(given).mean((2, 3)), without(given).mean((2, 3)))
    assert not torch.allclose(with_in(given).amax((2, 3)), without(given).amax((2, 3)))


@pytest.mark.parametrize(
    "given", [torch.ones(1, 16, 3, 3), torch.ones(2, 16, 1, 1), torch.zeros(1, 16, 2, 2)]
)
def test_constant_and_single_place_maps_stay_finite(given: torch.Tensor) -> None:
    given.requires_grad_()
    out = AwarenessHead(16, 8)(given)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert given.grad is not None
    assert torch.isfinite(given.grad).all()


def test_gradients_are_right() -> None:
    head = AwarenessHead(8, 4).double()
    assert torch.autograd.gradcheck(head, maps(2, 8, 3, 2).requires_grad_())


def test_counts_are_those_of_the_equations() -> None:
    assert count(AwarenessHead(2048, 8)) == 2 * 2048 * 256 == 1_048_576
    assert count(AttentionHead(2048, 8)) == 1_048_576
    with torch.device("meta"):
        assert round(count(ReleaseHead(2048)) / 1e6, 1) == 29.4


def test_every_kind_keeps_the_shape() -> None:
    assert build_head("none", 16, 8) is None
    for kind in ("attention", "awareness", "release"):
        head = build_head(kind, 16, 8)
        assert head is not None
        assert head(torch.rand(2, 16, 4, 4)).shape == (2, 16, 4, 4)
