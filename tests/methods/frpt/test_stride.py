"""A finer last map: the weights meet the neighbours they were trained on, and one variant keeps the map as it is."""

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
from fieldmark.methods.frpt.model import stride
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.stride import with_output_stride
from fieldmark.results.figures import FigureFolder
from fieldmark.vision.backbones import Backbone, NetworkParams, create_backbone, save_backbone

Make = Callable[..., FrptParams]


def mobilenet() -> Backbone:
    torch.manual_seed(0)
    return create_backbone(NetworkParams(arch="mobilenetv2_035"), SIDE)


def made(params: Make, task: Task, variant: str) -> Frpt:
    own = params(variants=[variant], output_stride=8)
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


def test_a_finer_map_is_not_that_of_a_last_stride_of_1() -> None:
    """The released code has a map as fine without dilation: other values, as the module says."""
    assert "dilates nothing" in (stride.__doc__ or "")
    coarse, images = tiny_resnet().eval(), torch.rand(2, 3, SIDE, SIDE)
    for module in coarse.modules():
        if isinstance(
            module, torch.nn.BatchNorm2d
        ):  # at first timm's let nothing pass through a block's convolutions
            torch.nn.init.ones_(module.weight)
    fine, undilated = (with_output_stride(coarse, 8).eval() for _ in range(2))
    dilated = [m for m in undilated.modules() if isinstance(m, torch.nn.Conv2d) and m.dilation != (1, 1)]
    for layer in dilated:
        layer.dilation, layer.padding = (1, 1), (1, 1)
    with torch.no_grad():
        expected, other = fine(images).feature_map, undilated(images).feature_map
    assert dilated
    assert other.shape == expected.shape
    assert (other - expected).norm() > 0.05 * expected.norm()


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


@pytest.mark.parametrize("variant", ["plain", "frozen", "FRPT"])
def test_a_saved_model_keeps_its_map(params: Make, task: Task, variant: str) -> None:
    method = made(params, task, variant)
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
    ],
)
def test_a_network_without_choice_is_refused(
    params: Make, task: Task, network: Callable[[], Backbone], message: str
) -> None:
    save_backbone(network(), task.backbone)
    with pytest.raises(UserError) as caught:
        made(params, task, "frozen")
    assert str(caught.value) == message


def test_plain_needs_a_stride_to_differ_from(params: Make) -> None:
    with pytest.raises(UserError, match="variant plain needs output_stride"):
        params(variants=["plain"])
