"""The head: each category scored by its own prompt, gradient paths, sizes of the paper, frozen vectors."""

import pytest
import torch
from torch import nn

from fieldmark.methods.cprfl.model.head import LinearHead, PromptHead, Widths, prompt_network
from fieldmark.methods.cprfl.model.vectors import category_vectors

SMALL = Widths(dim=12, prompt=6, heads=2, head_dim=5, mlp_dim=16)
PAPER = Widths(dim=2048, prompt=1024, heads=8, head_dim=512, mlp_dim=2048, dropout=0.1)


def made(**switches: bool) -> PromptHead:
    torch.manual_seed(0)
    return PromptHead(8, torch.randn(4, 10), SMALL, **switches).double()


def feature_maps(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def gradients(head: PromptHead) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Gradients by part, zero where none arrives, and that of the map."""
    given = feature_maps(3, 8, 3, 3).requires_grad_()
    head(given).square().sum().backward()
    parts = {}
    for name, part in head.named_children():
        flat = [
            torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in part.parameters()
        ]
        parts[name] = torch.cat(flat)
    return parts, torch.zeros_like(given) if given.grad is None else given.grad


def count(module: nn.Module) -> float:
    return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)


def test_equals_the_equations_picture_by_picture() -> None:
    head, given = made(), feature_maps(2, 8, 3, 2)
    first, _, second = head.prompt_network
    prompts = torch.nn.functional.gelu(head.vectors @ first.weight.T + first.bias) @ second.weight.T
    prompts = prompts + second.bias
    for picture, logits in zip(given, head(given), strict=True):
        positions = [picture[:, row, column] for row in range(3) for column in range(2)]
        features = torch.stack([head.projection.weight @ x + head.projection.bias for x in positions])
        refined = head.interaction(torch.cat([features, prompts])[None])[0, 6:]
        torch.testing.assert_close(
            logits, torch.stack([a @ b for a, b in zip(refined, prompts, strict=True)])
        )


def test_one_picture_keeps_its_axis() -> None:
    assert made()(feature_maps(1, 8, 3, 3)).shape == (1, 4)
    assert made()(feature_maps(1, 8, 1, 1)).shape == (1, 4)


def test_positions_have_no_order() -> None:
    given = feature_maps(2, 8, 3, 4)
    shuffled = given.flatten(2)[:, :, torch.randperm(12)].unflatten(2, (3, 4))
    torch.testing.assert_close(made()(shuffled), made()(given))


def test_as_classifier_a_prompt_concerns_its_own_logit_only() -> None:
    """Through the classifiers alone: the prompts that enter the interaction are held."""
    head = made()
    prompts = head.prompts().detach()
    refined = head.interaction(head._tokens(feature_maps(2, 8, 3, 3), prompts), last=4).detach()
    free = prompts.clone().requires_grad_()
    for category in range(4):
        (gradient,) = torch.autograd.grad((refined * free).sum(-1)[:, category].sum(), free)
        assert [bool(row.any()) for row in gradient] == [row == category for row in range(4)]


def test_both_paths_reach_the_prompts_and_add_up() -> None:
    both, through_features, through_classifiers = (
        gradients(made(**switch))[0]["prompt_network"]
        for switch in ({}, {"no_cls_grad": True}, {"no_feature_grad": True})
    )
    assert through_features.norm() > 0
    assert through_classifiers.norm() > 0
    torch.testing.assert_close(both, through_features + through_classifiers)


def test_a_blocked_path_blocks_what_it_should_and_nothing_else() -> None:
    free, free_map = gradients(made())
    without_classifiers, map_gradient = gradients(made(no_cls_grad=True))
    for part in ("interaction", "projection"):
        torch.testing.assert_close(without_classifiers[part], free[part])
        assert free[part].norm() > 0
    torch.testing.assert_close(map_gradient, free_map)
    without_features, map_gradient = gradients(made(no_feature_grad=True))
    assert not without_features["interaction"].any()
    assert not without_features["projection"].any()
    assert not map_gradient.any()


def test_switches_do_not_change_the_logits() -> None:
    given = feature_maps(2, 8, 3, 3)
    for switch in ("no_feature_grad", "no_cls_grad"):
        torch.testing.assert_close(made(**{switch: True})(given), made()(given))


def test_the_papers_sizes() -> None:
    with torch.device("meta"):
        head = PromptHead(2048, torch.empty(80, 1024), PAPER)
    assert [count(part) for part in (head.projection, head.prompt_network, head.interaction)] == [
        4.20,
        3.15,
        41.96,
    ]


def test_the_vectors_are_no_parameters() -> None:
    head = made()
    assert "vectors" in dict(head.named_buffers())
    assert not any(p.shape == head.vectors.shape for p in head.parameters())
    gradients(head)
    assert not head.vectors.requires_grad


def test_gradients_are_right() -> None:
    assert torch.autograd.gradcheck(made(), feature_maps(1, 8, 2, 2).requires_grad_())


def test_attention_lies_on_positions_and_prompts() -> None:
    head, given = made(), feature_maps(2, 8, 3, 5)
    attention = head.attention(given)
    assert attention.shape == (2, 4, 3, 5)
    assert (attention > 0).all()
    assert (attention.sum((2, 3)) < 1).all()
    changed = given.clone()
    changed[:, :, 1, 2] += 5
    moved = (head.attention(changed) - attention).abs().mean((0, 1))
    assert moved.argmax() == 1 * 5 + 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_are_whole_precision_under_autocast(dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype):
        logits = made().float()(feature_maps(2, 8, 3, 3).float())
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


def test_a_linear_prompt_network_is_one_map() -> None:
    network = prompt_network(10, 0, 12)
    assert isinstance(network, nn.Linear)
    assert (network.in_features, network.out_features) == (10, 12)


def test_the_linear_head_classifies_the_average() -> None:
    head, given = LinearHead(8, 3).double(), feature_maps(2, 8, 4, 4)
    expected = torch.stack([head.classifier(feature_map.flatten(1).mean(1)) for feature_map in given])
    torch.testing.assert_close(head(given), expected)


def test_vectors_of_every_kind_have_one_length() -> None:
    embeddings = 3 * torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(category_vectors("clip", embeddings, None, 0), embeddings)
    clip_length = embeddings.norm(dim=1).square().mean().sqrt()
    for length, wanted in ((None, clip_length), (2.0, torch.tensor(2.0))):
        for kind in ("random", "one-hot"):
            made_up = category_vectors(kind, embeddings, length, 0)  # type: ignore[arg-type]
            torch.testing.assert_close(made_up.norm(dim=1), wanted.expand(5))
    shorter = category_vectors("clip", embeddings, 2.0, 0)
    torch.testing.assert_close(shorter, embeddings * 2 / clip_length)
    assert category_vectors("one-hot", embeddings, None, 0).count_nonzero() == 5
    same, other = (category_vectors("random", embeddings, None, seed) for seed in (0, 1))
    assert torch.equal(same, category_vectors("random", embeddings, None, 0))
    assert not torch.equal(same, other)
