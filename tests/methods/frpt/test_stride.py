"""A finer last map: with dilation weights meet the neighbours they know; one variant keeps the map as it is."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, tiny_resnet, tiny_vit

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, load_variants, save_model, train_variants
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.evaluation import evaluate
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.stride import with_output_stride
from fieldmark.results.figures import FigureFolder
from fieldmark.vision.backbones import Backbone, NetworkParams, create_backbone, save_backbone

Make = Callable[..., FrptParams]


def mobilenet() -> Backbone:
    torch.manual_seed(0)
    return create_backbone(NetworkParams(arch="mobilenetv2_035"), SIDE)


def made(params: Make, task: Task, variant: str, **changes: object) -> Frpt:
    own = params(variants=[variant], output_stride=8, **changes)
    return Frpt.build(Frpt.named(own, variant), task).eval()


@pytest.mark.parametrize("network", [tiny_resnet, mobilenet])
def test_the_coarse_map_is_every_other_place_of_the_fine_one(network: Callable[[], Backbone]) -> None:
    coarse, images = network().eval(), torch.rand(2, 3, SIDE, SIDE)
    finer = coarse.spec.stride // 2
    fine = with_output_stride(coarse, finer).eval()
    with torch.no_grad():
        small, large = coarse(images).feature_map, fine(images).feature_map
    assert large.shape[-1] == 2 * small.shape[-1] == SIDE // finer
    torch.testing.assert_close(large[..., ::2, ::2], small, atol=1e-4, rtol=1e-4)
    assert fine.spec == replace(
        coarse.spec, options={**coarse.spec.options, "output_stride": finer}, stride=finer
    )


def resnet18() -> Backbone:
    """A residual network whose shortcuts have strides, as torchvision's and the released code's."""
    torch.manual_seed(0)
    options = {"channels": [8, 16, 24, 32]}
    made = create_backbone(NetworkParams(arch="resnet18", options=options), SIDE)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # at first timm's let nothing pass through a block
            torch.nn.init.ones_(module.weight)
    return made.eval()


def maps(backbone: Backbone) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        return backbone.eval()(torch.rand(2, 3, SIDE, SIDE)).feature_map


def test_without_dilation_it_is_a_last_stride_of_1() -> None:
    """The released code (FastReID's LAST_STRIDE) sets both strides of the last block to 1, and nothing else."""
    coarse = resnet18()
    released = copy.deepcopy(coarse)
    block = released.trunk.network.layer4[0]
    block.conv1.stride = block.downsample[0].stride = (1, 1)
    finer, dilated = (with_output_stride(coarse, 16, dilate) for dilate in (False, True))
    assert maps(finer).shape[-1] == 2 * maps(coarse).shape[-1]
    assert torch.equal(maps(finer), maps(released))
    assert (maps(dilated) - maps(released)).norm() > 0.05 * maps(released).norm()
    assert finer.spec.options == {**coarse.spec.options, "output_stride": 16, "dilations_of": 32}


def test_dilations_that_weights_were_trained_with_stay() -> None:
    """A network that came with a map of 16 pixels a cell keeps its dilated last block when the map gets finer."""
    coarse = with_output_stride(resnet18(), 16)
    released = copy.deepcopy(coarse)
    block = released.trunk.network.layer3[0]
    block.conv1.stride = block.downsample[0].stride = (1, 1)
    assert torch.equal(maps(with_output_stride(coarse, 8, dilate=False)), maps(released))


@pytest.mark.parametrize("arch", ["mobilenetv2_035", "efficientnet_lite0", "tf_efficientnet_lite0"])
def test_any_network_of_timm_that_dilates_can_do_without(arch: str) -> None:
    """Those from TensorFlow pad by themselves."""
    torch.manual_seed(0)
    coarse = create_backbone(NetworkParams(arch=arch), SIDE)
    finer = with_output_stride(coarse, 16, dilate=False)
    assert maps(finer).shape[-1] == 2 * maps(coarse).shape[-1] == SIDE // 16
    convolutions = [layer for layer in finer.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert {layer.dilation for layer in convolutions} == {(1, 1)}


def test_the_backbone_given_is_left_as_it_is() -> None:
    coarse, fine = tiny_resnet(), with_output_stride(tiny_resnet(), 8)
    fine.trunk.load_state_dict({name: torch.zeros_like(v) for name, v in fine.trunk.state_dict().items()})
    expected, found = tiny_resnet().state_dict(), coarse.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_every_variant_but_plain_has_the_finer_map(params: Make, task: Task) -> None:
    images = torch.rand(2, 3, SIDE, SIDE)
    sides = {}
    for name in ("plain", "frozen", "finetune", "CAH", "FRPT"):
        sides[name] = made(params, task, name).backbone(images).feature_map.shape[-1]
    assert sides == {"plain": 2, "frozen": 4, "finetune": 4, "CAH": 4, "FRPT": 4}


@pytest.mark.parametrize(
    ("variant", "dilate"), [("plain", True), ("frozen", True), ("FRPT", True), ("FRPT", False)]
)
def test_a_saved_model_keeps_its_map(params: Make, task: Task, variant: str, dilate: bool) -> None:
    method = made(params, task, variant, dilate=dilate)
    dilations = {layer.dilation for layer in method.modules() if isinstance(layer, torch.nn.Conv2d)}
    # The network comes with a dilated last block.
    assert max(dilations) == ((4, 4) if variant != "plain" and dilate else (2, 2))
    save_model(method, Path("model"))
    images = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad():
        assert torch.equal(load_model(Path("model")).embed(images), method.embed(images))


def test_the_report_compares_with_the_backbone_as_it_comes(
    params: Make, task: Task, tmp_path: Path, figures: FigureFolder
) -> None:
    own, out = params(variants=["plain", "frozen", "FRPT"], output_stride=8), tmp_path / "models"
    train_variants("frpt", own, task, out)
    result = evaluate(load_variants("frpt", own, out), own, task, figures)
    measures = {variant.name: variant.measures for variant in result.variants}
    assert measures["plain"]["trained_weights"].value == 0
    for measure in ("recall@1", "map@r"):
        value = {name: row[measure].value for name, row in measures.items()}
        assert f"{100 * (value['FRPT'] - value['plain']):+.1f} points (" in result.notes[-1]
    assert result.notes[-1].startswith("Against the backbone as it comes, untrained, by recall@1: FRPT")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (tiny_vit, "frpt.output_stride: vit_tiny_patch16_224 has one stride only; write null"),
        (
            lambda: create_backbone(NetworkParams(library="torchvision", arch="resnet18"), SIDE),
            "frpt.output_stride: torchvision builds no network by it; take timm's or null",
        ),
        (
            lambda: create_backbone(NetworkParams(arch="resnet18", options={"channels": [8, 8, 8, 8]}), SIDE),
            "frpt.output_stride: resnet18 has other layers at 8 pixels per cell; write null",
        ),
    ],
)
def test_a_network_without_choice_is_refused(
    params: Make, task: Task, network: Callable[[], Backbone], message: str
) -> None:
    save_backbone(network(), task.backbone)
    with pytest.raises(UserError) as caught:
        made(params, task, "frozen")
    assert str(caught.value) == message


def test_what_is_not_dilated_needs_a_stride(params: Make) -> None:
    with pytest.raises(UserError, match="dilate: false needs output_stride"):
        params(dilate=False)


def test_plain_needs_a_stride_to_differ_from(params: Make) -> None:
    with pytest.raises(UserError, match="variant plain needs output_stride"):
        params(variants=["plain"])
