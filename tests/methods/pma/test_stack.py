"""The invariants of progressive mask attention, and one forward pass against a slow reference."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import max_pool2d

from fieldmark.methods.pma import ProgressiveMaskAttention
from fieldmark.methods.pma.model.stack import AttentionOptions, block_means, cut_blocks

OPTIONS = AttentionOptions(stage_dim=7, vision_ratio=2, language_ratio=2)
CHANNELS, PHRASE = 6, 5
VARIATIONS = [
    {},
    {"qrm": "two"},
    {"qrm_scale": True},
    {"part_proj": "none"},
    {"share_stage_params": True},
    {"stage_activation": True},
    {"sam_bias": False},
    {"mask_threshold": 0.1},
    {"stages": 1},
    {"stages": 5, "mask_max": 2},
]

ABLATED = [
    {"visual_mask": False},
    {"mask_max": 0},
    {"streams": "global"},
    {"streams": "local"},
    {"streams": "global", "scores": "QRM"},
    {"scores": "SAM"},
    {"scores": "QRM"},
    {"visual_mask": False, "streams": "local", "scores": "QRM", "part_proj": "none"},
]


def stack(phrase_dim: int | None = PHRASE, **changes) -> ProgressiveMaskAttention:
    torch.manual_seed(1)
    return ProgressiveMaskAttention(CHANNELS, phrase_dim, replace(OPTIONS, **changes)).double()


def inputs(phrases: int = 12, batch: int = 3, side: int = 6):
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(batch, CHANNELS, side, side, generator=generator, dtype=torch.float64)
    vectors = 2 * torch.randn(batch, phrases, PHRASE, generator=generator, dtype=torch.float64)
    return maps, vectors, torch.ones(batch, phrases, dtype=torch.bool)


def softmax(scores: dict) -> dict:
    total = sum(torch.exp(torch.as_tensor(value)) for value in scores.values())
    return {key: torch.exp(torch.as_tensor(value)) / total for key, value in scores.items()}


def slow(model, maps, phrases):
    """Equations 3 to 9 for one sample, with sets in place of masks; what the options leave out as well."""
    options = model.options
    side = maps.shape[-1] // 2
    corners = [(r, c) for r in range(side) for c in range(side)]
    cells = [[maps[:, 2 * r + i, 2 * c + j] for i in (0, 1) for j in (0, 1)] for r, c in corners]
    pooled = [torch.stack(four).max(0).values for four in cells]
    blocks_left, phrases_left = set(range(len(cells))), set(range(len(phrases)))
    tau, z, parts, dropped = 1 / len(phrases), [maps.mean((1, 2))], [], []

    def score(module, vector, query):
        if hasattr(module, "query"):
            return vector @ (module.query.weight @ query)
        return module(vector)

    for modules in model.modules_of_stage:
        alpha = softmax({i: score(modules.visual, pooled[i], maps.mean((1, 2))) for i in blocks_left})
        k = max(sorted(alpha), key=lambda i: alpha[i].item())
        local = torch.stack([modules.part(cell) if modules.part else cell for cell in cells[k]]).mean(0)
        v_global, v_local = sum(alpha[i] * pooled[i] for i in alpha), local
        gone = set()
        if options.streams != "global":
            beta = softmax({j: score(modules.relation, phrases[j], local) for j in phrases_left})
            l_local = sum(beta[j] * phrases[j] for j in beta)
            most = sorted(beta, key=lambda j: -beta[j].item())[: options.mask_max]
            gone = {j for j in most if beta[j].item() > tau}
            phrases_left = phrases_left - gone
        if options.streams != "local":
            gamma = softmax({j: score(modules.textual, phrases[j], local) for j in phrases_left})
            l_global = sum((gamma[j] * phrases[j] for j in gamma), torch.zeros_like(phrases[0]))
        if options.streams == "both":
            z.append(model.reduce(torch.cat([v_global, v_local, l_global, l_local])))
        else:
            only = [v_global, l_global] if options.streams == "global" else [v_local, l_local]
            z.append(model.reduce(torch.cat(only)))
        blocks_left = blocks_left - {k} if options.visual_mask else blocks_left
        parts.append(k)
        dropped.append(gone)
    return torch.cat(z), parts, dropped


def dropped_of(stage, sample):
    return set() if stage.dropped is None else set(stage.dropped[sample].nonzero().flatten().tolist())


@pytest.mark.parametrize("changes", [{}, *ABLATED], ids=str)
def test_a_forward_pass_equals_the_slow_reference(changes) -> None:
    model = stack(**changes)
    maps, phrases, valid = inputs(phrases=7)
    attended = model(maps, phrases, valid)
    for sample in range(len(maps)):
        z, parts, dropped = slow(model, maps[sample], phrases[sample])
        torch.testing.assert_close(attended.vector[sample], z)
        assert [int(stage.part[sample]) for stage in attended.stages] == parts
        assert [dropped_of(stage, sample) for stage in attended.stages] == dropped
    some = any(stage.dropped is not None and stage.dropped.any() for stage in attended.stages)
    assert some == (changes.get("streams") != "global" and "mask_max" not in changes)


def test_without_the_visual_mask_every_stage_may_look_at_the_same_block() -> None:
    maps, phrases, valid = inputs()
    looked = stack(visual_mask=False, share_stage_params=True)(maps, phrases, valid).stages
    assert all(torch.equal(stage.part, looked[0].part) for stage in looked)
    for stage in looked:
        assert (stage.blocks > 0).all()


def test_a_single_stream_leaves_out_what_only_the_other_needs() -> None:
    everywhere, local = stack(streams="global"), stack(streams="local")
    assert all(m.relation is None and m.part is None for m in everywhere.modules_of_stage)
    assert all(m.textual is None for m in local.modules_of_stage)
    assert everywhere.reduce.in_features == local.reduce.in_features == CHANNELS + PHRASE
    stages = everywhere(*inputs()).stages
    assert all(stage.related is None and stage.dropped is None for stage in stages)


@pytest.mark.parametrize("changes", VARIATIONS, ids=str)
def test_parts_are_distinct_and_dropped_entries_weigh_nothing(changes) -> None:
    model = stack(**changes)
    maps, phrases, valid = inputs()
    valid[1, 4:] = False
    stages = model(maps, phrases, valid).stages
    assert len(stages) == model.options.stages
    for sample in range(3):
        parts = [int(stage.part[sample]) for stage in stages]
        assert len(set(parts)) == len(parts)
    unused = valid.clone()
    for number, stage in enumerate(stages):
        for before in stages[:number]:
            assert (stage.blocks.gather(1, before.part[:, None]) == 0).all()
        assert (stage.related[~unused] == 0).all()
        assert not (stage.dropped & ~unused).any()
        assert (stage.dropped.sum(1) <= 3).all()
        unused &= ~stage.dropped
        assert (stage.others[~unused] == 0).all()
        torch.testing.assert_close(stage.blocks.sum(1), torch.ones(3, dtype=torch.float64))


@pytest.mark.parametrize("changes", [*VARIATIONS, *ABLATED], ids=str)
def test_order_and_padding_of_phrases_do_not_matter(changes) -> None:
    model = stack(**changes)
    maps, phrases, valid = inputs()
    valid[1, 4:] = False
    valid[2] = False
    expected = model(maps, phrases, valid).vector
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model(maps, phrases[:, order], valid[:, order]).vector, expected)
    padded = torch.cat([phrases, torch.full((3, 9, PHRASE), 7.0, dtype=torch.float64)], 1)
    more = torch.cat([valid, torch.zeros(3, 9, dtype=torch.bool)], 1)
    torch.testing.assert_close(model(maps, padded, more).vector, expected)


def test_the_visual_stream_is_the_vision_only_path() -> None:
    both, vision = stack(), stack(None)
    state = {name: value for name, value in both.state_dict().items() if name in vision.state_dict()}
    state["reduce.weight"] = state["reduce.weight"][:, : 2 * CHANNELS]
    vision.load_state_dict(state)
    with torch.no_grad():
        both.reduce.weight[:, 2 * CHANNELS :] = 0
    maps, phrases, valid = inputs()
    torch.testing.assert_close(both(maps, phrases, valid).vector, vision(maps).vector)


def test_blocks_are_those_of_max_pooling_and_the_mean_may_come_before_the_convolution() -> None:
    maps = inputs()[0]
    blocks = cut_blocks(maps)
    torch.testing.assert_close(blocks.amax(2), max_pool2d(maps, 2).flatten(2).transpose(1, 2))
    assert torch.equal(blocks[0, 4, 3], maps[0, :, 3, 3])  # second row of blocks, second block, last cell
    convolution = torch.nn.Conv2d(CHANNELS, CHANNELS, 1).double()
    matrix = torch.nn.Linear(CHANNELS, CHANNELS).double()
    matrix.load_state_dict({"weight": convolution.weight[:, :, 0, 0], "bias": convolution.bias})
    torch.testing.assert_close(matrix(block_means(maps)), block_means(convolution(maps)))


@pytest.mark.parametrize("changes", [*VARIATIONS, *ABLATED], ids=str)
@pytest.mark.parametrize("count", [0, 1, 2, 12])
def test_no_nan_and_gradients_everywhere(count, changes) -> None:
    model = stack(**changes)
    maps, phrases, valid = inputs(max(count, 1))
    valid[:] = count > 0
    maps.requires_grad_()
    phrases.requires_grad_()
    vector = model(maps, phrases, valid).vector
    assert vector.isfinite().all()
    (vector * torch.randn_like(vector)).sum().backward()
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            assert weight.grad.isfinite().all(), name
        if count == 12 and name.rpartition(".")[2] == "weight":
            assert weight.grad.abs().sum() > 0, name
    assert maps.grad.isfinite().all()
    assert (maps.grad.abs().sum((1, 2, 3)) > 0).all()
    if count:
        assert phrases.grad.isfinite().all()
    else:
        stages = model(maps, phrases, valid).stages
        weights = [weight for stage in stages for weight in (stage.related, stage.others)]
        assert all((weight == 0).all() for weight in weights if weight is not None)


def test_a_single_phrase_stays_to_the_last_stage() -> None:
    maps, phrases, valid = inputs(1)
    for stage in stack()(maps, phrases, valid).stages:
        assert not stage.dropped.any()
        torch.testing.assert_close(stage.others, torch.ones(3, 1, dtype=torch.float64))


def test_masks_are_fresh_in_every_pass() -> None:
    model = stack().eval()
    maps, phrases, valid = inputs()
    given = valid.clone()
    assert torch.equal(model(maps, phrases, valid).vector, model(maps, phrases, valid).vector)
    assert torch.equal(valid, given)


def test_shapes_and_shared_parameters() -> None:
    model = stack()
    assert model.dim == CHANNELS + 3 * 7
    assert model(*inputs()).vector.shape == (3, model.dim)
    assert model.reduce.in_features == 2 * CHANNELS + 2 * PHRASE
    assert len(stack(share_stage_params=True).modules_of_stage) == 1
    assert len(model.modules_of_stage) == 3


def test_wrong_input_is_refused() -> None:
    model = stack()
    maps, phrases, valid = inputs()
    for odd in (maps[:, :, :5], maps[..., :5]):
        with pytest.raises(ValueError, match="even"):
            model(odd, phrases, valid)
    with pytest.raises(ValueError, match="fewer 2x2 blocks than 3 stages"):
        model(maps[..., :2, :4], phrases, valid)
    with pytest.raises(ValueError, match="all three or none"):
        model(maps)
    with pytest.raises(ValueError, match="all three or none"):
        stack(None)(maps, phrases, valid)
    for stages in (0, 6):
        with pytest.raises(ValueError, match="stages must be 1 to 5"):
            stack(stages=stages)
