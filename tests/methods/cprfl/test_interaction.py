"""The interaction: no residual connections, against a slow reference; sizes; only the last rows when asked."""

import math

import pytest
import torch
from torch import nn

from fieldmark.methods.cprfl import VisualSemanticInteraction
from fieldmark.methods.cprfl.model.interaction import Attention


def made(depth: int = 1, dropout: float = 0.0) -> VisualSemanticInteraction:
    torch.manual_seed(0)
    return VisualSemanticInteraction(12, 3, 5, 20, depth, dropout).double()


def tokens(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def norm(row: list[float], layer: nn.LayerNorm) -> list[float]:
    mean = sum(row) / len(row)
    spread = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + 1e-5)
    scales = zip(row, layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [(x - mean) / spread * weight + bias for x, weight, bias in scales]


def linear(row: list[float], layer: nn.Linear) -> list[float]:
    bias = layer.bias.tolist() if layer.bias is not None else [0.0] * layer.out_features
    return [
        sum(w * x for w, x in zip(weights, row, strict=True)) + b
        for weights, b in zip(layer.weight.tolist(), bias, strict=True)
    ]


def gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def slow(layer: nn.Module, rows: list[list[float]]) -> list[list[float]]:
    attention, forward = layer[0], layer[1]  # type: ignore[index]
    normed = [norm(row, attention.norm) for row in rows]
    qkv = [linear(row, attention.to_qkv) for row in normed]
    attended: list[list[float]] = []
    for i in range(len(rows)):
        joined: list[float] = []
        for head in range(3):
            query, keys, values = (slice(part * 15 + head * 5, part * 15 + head * 5 + 5) for part in range(3))
            scores = [
                sum(a * b for a, b in zip(qkv[i][query], other[keys], strict=True)) / 5**0.5 for other in qkv
            ]
            total = sum(math.exp(s) for s in scores)
            joined += [
                sum(math.exp(s) / total * other[values][d] for s, other in zip(scores, qkv, strict=True))
                for d in range(5)
            ]
        attended.append(linear(joined, attention.to_out))
    return [
        linear([gelu(x) for x in linear(norm(row, forward[0]), forward[1])], forward[4]) for row in attended
    ]


@pytest.mark.parametrize("depth", [1, 2])
def test_equals_a_slow_reference_without_residual_connections(depth: int) -> None:
    module, given = made(depth).eval(), tokens(2, 6, 12)
    out = module(given)
    for picture, got in zip(given, out, strict=True):
        rows = picture.tolist()
        for layer in module.layers:
            rows = slow(layer, rows)
        torch.testing.assert_close(got, torch.tensor(rows).double())


def test_the_last_rows_alone_are_the_same() -> None:
    for depth in (1, 3):
        module, given = made(depth), tokens(2, 7, 12)
        whole = module(given)
        assert whole.shape == given.shape
        torch.testing.assert_close(module(given, last=3), whole[:, -3:])
        torch.testing.assert_close(module(given, last=7), whole)


def test_attention_is_that_of_the_forward_pass() -> None:
    module, given = made(2), tokens(2, 7, 12)
    weights = module.attention(given, last=3)
    assert weights.shape == (2, 3, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3).double())
    first, last = module.layers
    inner = first[1](first[0](given, 7))  # type: ignore[index]
    attention = last[0]  # type: ignore[index]
    assert isinstance(attention, Attention)
    _, _, value = attention._projected(inner, 3)
    mixed = attention.weights(inner, 3) @ value
    expected = last[1](attention.to_out(mixed.transpose(1, 2).flatten(2)))  # type: ignore[index]
    torch.testing.assert_close(module(given, last=3), expected)


def test_the_papers_size() -> None:
    with torch.device("meta"):
        module = VisualSemanticInteraction(2048, 8, 512, 2048)
    assert round(sum(p.numel() for p in module.parameters()) / 1e6, 2) == 41.96


def test_gradients_are_right() -> None:
    module = made()
    assert torch.autograd.gradcheck(lambda x: module(x, last=2), tokens(1, 4, 12).requires_grad_())


def test_dropout_acts_in_training_only() -> None:
    module, given = made(dropout=0.5), tokens(1, 5, 12)
    torch.manual_seed(0)
    assert not torch.equal(module(given), module(given))
    module.eval()
    assert torch.equal(module(given), module(given))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_constant_tokens_stay_finite_under_autocast(dtype: torch.dtype) -> None:
    module = made().float()
    with torch.autocast("cpu", dtype):
        for given in (torch.zeros(1, 1, 12), torch.ones(2, 9, 12), 1e4 * tokens(1, 3, 12).float()):
            assert torch.isfinite(module(given)).all()


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        VisualSemanticInteraction(8, 2, 4, 8, depth=0)
