"""SAM, QRM, the masked softmax and the choice of phrases against slow references and by hand."""

import math

import pytest
import torch

from fieldmark.methods.pma import QueryRelation, SelfAttentionScore
from fieldmark.methods.pma.model.attention import called_up, masked_softmax


@pytest.mark.parametrize(("activation", "delta"), [("relu", lambda x: max(x, 0.0)), ("tanh", math.tanh)])
@pytest.mark.parametrize("bias", [True, False])
def test_sam_is_equation_1(activation, delta, bias) -> None:
    torch.manual_seed(0)
    score = SelfAttentionScore(6, 2, activation, bias).double()
    vectors = torch.randn(2, 4, 6, dtype=torch.float64)
    inner, outer = score.squeeze.weight.detach(), score.score.weight.detach()
    assert inner.shape == (3, 6)
    assert outer.shape == (1, 3)
    found = score(vectors).detach()
    assert found.shape == (2, 4)
    for b in range(2):
        for i in range(4):
            expected = score.score.bias.item() if bias else 0.0
            for h in range(3):
                hidden = score.squeeze.bias[h].item() if bias else 0.0
                hidden += sum(float(inner[h, d]) * float(vectors[b, i, d]) for d in range(6))
                expected += float(outer[0, h]) * delta(hidden)
            assert float(found[b, i]) == pytest.approx(expected)


def test_sam_narrows_to_one_at_least() -> None:
    assert SelfAttentionScore(8, 100)(torch.zeros(3, 8)).shape == (3,)
    with pytest.raises(ValueError, match="at least 1"):
        SelfAttentionScore(8, 0)


@pytest.mark.parametrize(("form", "scale"), [("one", False), ("one", True), ("two", False), ("two", True)])
def test_qrm_is_equation_2(form, scale) -> None:
    torch.manual_seed(0)
    relation = QueryRelation(3, 5, form, scale).double()
    keys, query = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    found = relation(keys, query).detach()
    for b in range(2):
        projected = relation.query.weight @ query[b]
        for j in range(4):
            key = keys[b, j] if relation.key is None else relation.key.weight @ keys[b, j]
            expected = (key @ projected).item() / (math.sqrt(3) if scale else 1)
            assert found[b, j].item() == pytest.approx(expected)
    assert (relation.key is None) == (form == "one")


def test_masked_weights_are_zero_and_the_rest_a_softmax() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]], requires_grad=True)
    allowed = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    weights = masked_softmax(scores, allowed)
    assert weights[0, 1] == 0
    assert float(weights[0, 2].detach()) == pytest.approx(math.exp(2) / (1 + math.exp(2)))
    assert weights[1].tolist() == [0, 0, 0]
    assert weights[2].tolist() == pytest.approx([1 / 3] * 3)
    (weights * torch.arange(3.0)).sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert scores.grad[1].tolist() == [0, 0, 0]


def test_masked_softmax_is_float32_under_half_precision_and_has_the_right_gradient() -> None:
    allowed = torch.tensor([[True, False, True, True]])
    assert masked_softmax(torch.zeros(1, 4, dtype=torch.bfloat16), allowed).dtype == torch.float32
    scores = torch.randn(1, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: masked_softmax(x, allowed), scores)


def weights(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_at_most_so_many_of_those_above_the_threshold_leave() -> None:
    valid = torch.ones(1, 5, dtype=torch.bool)
    found = called_up(weights([0.3, 0.05, 0.25, 0.22, 0.18]), valid, 3, None)  # tau is 0.2
    assert found.tolist() == [[True, False, True, True, False]]
    found = called_up(weights([0.24, 0.04, 0.24, 0.24, 0.24]), valid, 3, None)
    assert found.sum() == 3
    assert called_up(weights([0.3, 0.05, 0.25, 0.22, 0.18]), valid, 3, 0.28).sum() == 1
    assert called_up(weights([0.3, 0.05, 0.25, 0.22, 0.18]), valid, 0, None).sum() == 0


@pytest.mark.parametrize("n", [1, 2, 3, 7, 12, 40])
def test_equal_weights_and_single_phrases_drop_nothing(n) -> None:
    valid = torch.zeros(1, 41, dtype=torch.bool)
    valid[0, :n] = True
    assert not called_up(masked_softmax(torch.full((1, 41), 1.7), valid), valid, 3, None).any()


def test_the_threshold_counts_real_phrases_not_padding() -> None:
    valid = torch.tensor([[True, True, False, False, False, False]])
    found = called_up(weights([0.45, 0.55, 0, 0, 0, 0]), valid, 3, None)  # tau is 1/2, not 1/6
    assert found.tolist() == [[False, True, False, False, False, False]]
