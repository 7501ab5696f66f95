"""Encoder, heads and choices: sizes, positions, masking, initial weights."""

import math
from collections.abc import Callable

import pytest
import torch

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.methods.loca.model.encoder import build_encoder, encode, kept_branches
from fieldmark.methods.loca.model.heads import CrossAttention, ProjectionHead
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.network import Network, choose_patches, visible_count
from fieldmark.methods.loca.model.params import HeadParams, LocaParams
from fieldmark.methods.loca.model.variants import make_variant
from fieldmark.vision.backbones import backbone_from_spec
from fieldmark.vision.positions import position_table

Make = Callable[..., LocaParams]
BASE = {"images": {"side": 224}, "train": {"steps": 1, "lr": 1e-3}}


def test_parameter_counts_are_the_released_ones() -> None:
    block = parse(LocaParams, BASE, "loca")
    with torch.device("meta"):
        network = Network(build_encoder(block), make_variant("LOCA", block))
    parts = (network, network.backbone, network.position, network.projection)
    counts = [round(sum(p.numel() for p in part.parameters()) / 1e6, 2) for part in parts]
    assert counts == [100.38, 85.80, 7.24, 7.34]  # the position head: 7.09 of cross-attention and 0.15


def test_the_encoder_is_the_exported_backbone(params: Make) -> None:
    """What LOCA trains is what anybody gets who loads the folder and calls it."""
    backbone = build_encoder(params()).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        seen = encode(backbone, images).transpose(1, 2).unflatten(2, (4, 4))
        torch.testing.assert_close(seen, backbone(images).feature_map, atol=1e-5, rtol=1e-5)
    for shape in ((16, 16), (48, 48), (24, 40)):  # at other sizes, too, and built again from its description
        again, other = backbone_from_spec(backbone.spec).eval(), torch.rand(1, 3, *shape)
        again.load_state_dict(backbone.state_dict())
        with torch.no_grad():
            seen = encode(backbone, other).transpose(1, 2).unflatten(2, [side // 8 for side in shape])
            torch.testing.assert_close(again(other).feature_map, seen, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(again.stage_features(other, 1).shape, seen.shape)
    assert backbone.spec.has_cls is False
    network = backbone.trunk.network
    assert {m.eps for m in network.modules() if isinstance(m, torch.nn.LayerNorm)} == {1e-6}
    x = torch.linspace(-3, 3, 50)
    wanted = torch.nn.functional.gelu(x, approximate="tanh")
    torch.testing.assert_close(network.blocks[0].mlp.act(x), wanted)


def test_a_stem_of_convolutions_takes_the_place_of_the_patch_layer(params: Make) -> None:
    stemmed = {"stem": "conv", "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
    backbone = build_encoder(params(options=stemmed)).eval()
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        seen = encode(backbone, images).transpose(1, 2).unflatten(2, (4, 4))
        torch.testing.assert_close(seen, backbone(images).feature_map, atol=1e-5, rtol=1e-5)
        assert encode(backbone, torch.rand(2, 3, 16, 16)).shape == (2, 4, 16)
        assert backbone(torch.rand(1, 3, 48, 48)).feature_map.shape == (1, 16, 6, 6)
    assert sum(isinstance(m, torch.nn.Conv2d) for m in backbone.modules()) == 3
    with pytest.raises(UserError, match="no multiple of the patch, 8"):
        build_encoder(params(options=stemmed, views={"reference_size": 36}))


def test_position_table_is_resized_whole_and_antialiased(params: Make) -> None:
    network = build_encoder(params()).trunk.network
    table = network.pos_embed.transpose(1, 2).unflatten(2, (4, 4))
    assert torch.equal(position_table(network, torch.Size([4, 4])), table)
    # halving with antialiasing: a triangle over four cells, cut and renormalised at the edge
    edge = torch.tensor([3.0, 3.0, 1.0, 0.0]) / 7
    weights = torch.stack([edge, edge.flip(0)])
    wanted = torch.einsum("iy,jx,bcyx->bcij", weights, weights, table)
    torch.testing.assert_close(position_table(network, torch.Size([2, 2])), wanted)


def test_without_positions_a_shuffled_picture_gives_shuffled_features(params: Make) -> None:
    backbone = build_encoder(params()).eval()
    images = torch.rand(1, 3, 32, 32)
    rolled = images.roll(8, dims=3)
    with torch.no_grad():
        plain = encode(backbone, images, positions=False).view(1, 4, 4, -1)
        moved = encode(backbone, rolled, positions=False).view(1, 4, 4, -1)
        torch.testing.assert_close(moved, plain.roll(1, dims=2), atol=1e-5, rtol=1e-5)
        with_table = encode(backbone, rolled).view(1, 4, 4, -1) - encode(backbone, images).view(
            1, 4, 4, -1
        ).roll(1, 2)
    assert with_table.abs().max() > 0.1


def test_patches_that_are_not_kept_have_no_influence(params: Make) -> None:
    backbone, kept = build_encoder(params()).eval(), torch.tensor([5, 0, 9])
    images = torch.rand(1, 3, 32, 32)
    changed = images.clone()
    changed[:, :, 24:, :] = 0.0  # patches 12 to 15
    with torch.no_grad():
        once, again = encode(backbone, images, kept=kept), encode(backbone, changed, kept=kept)
    assert once.shape[1] == 3
    assert torch.equal(once, again)
    assert not torch.equal(encode(backbone, images), encode(backbone, changed))


def test_context_is_all_that_is_looked_at(params: Make) -> None:
    backbone = build_encoder(params()).eval()
    images = torch.rand(1, 3, 32, 32)
    everything = torch.arange(16)
    torch.testing.assert_close(encode(backbone, images, context=everything), encode(backbone, images))
    changed = images.clone()
    changed[:, :, 24:, :] = 0.0
    context = torch.tensor([1, 2, 7])
    one, other = (encode(backbone, x, context=context) for x in (images, changed))
    torch.testing.assert_close(one[:, :12], other[:, :12])
    assert (one[:, 12:] - other[:, 12:]).abs().max() > 1e-3


def test_stochastic_depth_grows_linearly_and_rescales() -> None:
    uniform = torch.rand(20_000, 3, 2, generator=torch.Generator().manual_seed(0))
    factors = kept_branches(uniform, 0.4)
    assert (factors[:, 0] == 1).all()
    assert set(factors[:, 1].unique().tolist()) == {0.0, 1.25}
    torch.testing.assert_close(factors.mean((0, 2)), torch.ones(3), atol=0.02, rtol=0)
    torch.testing.assert_close(
        (factors == 0).float().mean((0, 2)), torch.tensor([0, 0.2, 0.4]), atol=0.01, rtol=0
    )


def test_a_dropped_branch_is_skipped(params: Make) -> None:
    backbone, images = build_encoder(params()).eval(), torch.rand(2, 3, 32, 32)
    network = backbone.trunk.network
    whole = encode(backbone, images, branches=torch.ones(2, 2, 2))
    torch.testing.assert_close(whole, encode(backbone, images))
    nothing = encode(backbone, images, branches=torch.zeros(2, 2, 2))
    tokens = (
        network.patch_embed.proj(backbone.normalise(images)).flatten(2).transpose(1, 2) + network.pos_embed
    )
    torch.testing.assert_close(nothing, network.norm(tokens))


@pytest.mark.parametrize(
    ("eta", "patches", "count"), [(0.8, 196, 39), (0.5, 196, 98), (0.0, 196, 196), (0.8, 5, 1), (0.99, 16, 1)]
)
def test_eta_is_the_hidden_fraction(eta: float, patches: int, count: int) -> None:
    assert visible_count(eta, patches) == count


def test_visible_and_kept_patches(params: Make) -> None:
    for masking in ("consecutive", "unstructured", "first"):
        variant, seen = make_variant("LOCA", params(masking=masking, eta=0.75)), set()
        for step in range(60):
            visible, kept = choose_patches(variant, 16, step)
            again = choose_patches(variant, 16, step)
            assert torch.equal(visible, again[0])
            assert torch.equal(kept, again[1])
            assert (len(visible), len(kept)) == (4, 6)
            assert len(set(visible.tolist())) == 4
            assert len(set(kept.tolist())) == 6
            if masking != "unstructured":
                assert visible.tolist() == list(range(int(visible[0]), int(visible[0]) + 4))
            seen.add(int(visible[0]))
        assert {"first": {0}, "consecutive": set(range(13))}.get(masking, seen) == seen


def test_prototype_scores_are_cosines_and_the_gradient_is_tangent() -> None:
    torch.manual_seed(0)
    head = ProjectionHead(8, HeadParams(prototypes=20, hidden=16, bottleneck=6)).double()
    with torch.no_grad():
        head.prototypes.weight.mul_(torch.rand(20, 1) * 5 + 0.1)
    scores = head(torch.randn(30, 8, dtype=torch.float64))
    assert scores.abs().max() <= 1 + 1e-12
    scores.pow(3).sum().backward()
    weight = head.prototypes.weight
    assert weight.grad is not None
    assert weight.grad.abs().max() > 1e-3
    along = (weight.grad * weight).sum(1)  # scaling a prototype changes nothing
    torch.testing.assert_close(along, torch.zeros_like(along), atol=1e-8, rtol=0)


def test_cross_attention_treats_queries_one_by_one_and_the_reference_as_a_set() -> None:
    torch.manual_seed(0)
    cross = CrossAttention(8, 2, 16)
    queries, reference = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    whole = cross(queries, reference)
    torch.testing.assert_close(cross(queries[:, 1:3], reference), whole[:, 1:3])
    torch.testing.assert_close(cross(queries, reference.flip(1)), whole)


def test_initial_values_of_the_losses() -> None:
    """Near ln N for positions, whose classifier starts with unit logits (half a nat more), and ln K, -ln K."""
    fields = {
        **BASE,
        "arch": "vit_tiny_patch16_224",
        "options": {"depth": 2},
        "views": {"focal_count": 1},
        "train": {"steps": 1, "lr": 1e-3, "batch_size": 2},
    }
    torch.manual_seed(0)
    method = Loca.build(make_variant("LOCA", parse(LocaParams, fields, "loca")), None)  # type: ignore[arg-type]
    with torch.no_grad():
        losses = method({"images": torch.randint(256, (2, 3, 224, 224), dtype=torch.uint8)})
    assert float(losses["position"]) == pytest.approx(math.log(196) + 0.5, abs=0.3)
    assert float(losses["cluster"]) == pytest.approx(math.log(4096), abs=0.5)
    assert float(losses["me_max"]) == pytest.approx(-math.log(4096), abs=0.5)
    assert float(losses["accuracy"]) < 0.05
    assert len(choose_patches(method.variant, 196, 0)[0]) == 39
    assert len(choose_patches(method.variant, 196, 0)[1]) == 70


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "resnet18", "options": {}}, "resnet18"),
        (
            {"views": {"reference_size": 36, "random_tokens": 2, "focal_size": 16}},
            "reference_size 36 is no multiple",
        ),
        (
            {"views": {"reference_size": 32, "random_tokens": 17, "focal_size": 16}},
            "more than a view's 16 patches",
        ),
        ({"dense": {"windows": {"side": 36, "stride": 36}}}, r"dense\.windows\.side 36 is no multiple"),
    ],
)
def test_impossible_networks_are_refused(params: Make, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Loca.build(make_variant("LOCA", params(**changes)), None)  # type: ignore[arg-type]
