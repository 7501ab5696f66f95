"""FRPT as a whole: what is frozen stays frozen, what is trained gets gradients; saving and loading."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from support.tiny import SIDE, tiny_resnet, tiny_vit

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, load_variants, save_model, train_variants
from fieldmark.engine.task import Task
from fieldmark.engine.training import train_on
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams, VariantName
from fieldmark.methods.frpt.model.variants import FOLLOWED, TABLE, Parts
from fieldmark.vision.backbones import save_backbone

Make = Callable[..., FrptParams]
Batch = dict[str, torch.Tensor]
ALL = [name for name in get_args(VariantName) if name not in ("plain", "sampled")]  # test_stride, test_source
FROZEN = [name for name in ALL if name != "finetune"]
TRAINED = [name for name in ALL if name != "frozen"]


def make(params: Make, task: Task, variant: str, **changes: object) -> Frpt:
    torch.manual_seed(0)
    return Frpt.build(Frpt.named(params(variants=[variant], **changes), variant), task)


def trained(params: Make, task: Task, variant: str, run: str = "r", **changes: object) -> Frpt:
    method = make(params, task, variant, **changes)
    train_on(method, method.loaded, method.params.seeded, task, f"frpt/{run}")
    return method


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_default_variants_are_the_papers_ablation(params: Make) -> None:
    steps = {variant.name: variant.params.train.steps for variant in Frpt.variants(params())}
    assert list(steps) == ["frozen", "finetune", "DPP", "CAH", "attention", "FRPT"]
    assert steps == {name: 3 if name in TRAINED else 0 for name in steps}


def test_the_table_has_every_variant_once(params: Make) -> None:
    assert list(TABLE) == list(get_args(VariantName))
    assert FOLLOWED == ("finetune", "FRPT")
    own = params(variants=list(TABLE), source={"side": 2 * SIDE}, output_stride=8)
    variants = Frpt.variants(own)
    assert [variant.name for variant in variants] == list(TABLE)
    assert len({variant.title for variant in variants}) == len(TABLE)
    still = [variant.name for variant in variants if not variant.trained]
    assert still == ["plain", "frozen", "sampled"]
    assert [variant.name for variant in variants if variant.parts.backbone] == ["finetune"]
    assert [variant.name for variant in variants if variant.parts.unchanged_stride] == ["plain"]


def test_few_pictures_are_variants_of_their_own(params: Make) -> None:
    own = params(variants=["FRPT", "CAH", "finetune"], shots=[4, 2], steps_per_shot=1, snapshots=5)
    variants = {variant.name: variant for variant in Frpt.variants(own)}
    assert list(variants) == ["FRPT", "CAH", "finetune", "finetune-4", "FRPT-4", "finetune-2", "FRPT-2"]
    assert variants["FRPT"].parts == Parts(prompt=True, head="awareness")
    few = variants["FRPT-2"]
    assert few.title == "prompt and head, 2 training pictures per class"
    assert few.parts == Parts(prompt=True, head="awareness", shots=2)
    assert (few.params.shots, few.params.train.steps, few.params.snapshots) == ((2,), 2, 0)
    for variant in variants.values():
        assert Frpt.named(variant.params, variant.name) == variant
    snapshots = {name: variant.params.snapshots for name, variant in variants.items()}
    assert {name for name, count in snapshots.items() if count} == {"finetune", "FRPT"}


def test_few_pictures_get_as_many_passes_and_drops_as_all(params: Make) -> None:
    """Table 4 trains 5 and 10 pictures of 100 classes for the 500 epochs that all 5,864 pictures get."""
    train = {"steps": 91625, "batch_size": 32, "lr": 1e-3, "schedule": "drops", "drop_every": 9162}
    own = params(
        variants=["FRPT"], shots=[10, 5], steps_per_shot=1562.5, train={**train, "warmup_steps": 916}
    )
    for variant in Frpt.variants(own)[1:]:
        few, shots = variant.params.train, variant.parts.shots or 0
        assert few.steps * few.batch_size == pytest.approx(500 * 100 * shots, abs=few.batch_size)
        assert few.steps // (few.drop_every or 1) == 10
        assert few.warmup_steps == pytest.approx(few.steps / 100, abs=1)
        assert Frpt.named(variant.params, variant.name) == variant


@pytest.mark.parametrize("variant", FROZEN)
def test_a_frozen_backbone_is_not_changed_by_a_bit(params: Make, task: Task, variant: str) -> None:
    before = state(tiny_resnet())
    assert any("running_var" in name for name in before)
    if variant == "frozen":
        method = make(params, task, variant)
    else:
        method = trained(
            params, task, variant, train={"steps": 5, "batch_size": 6, "lr": 0.1, "weight_decay": 0.1}
        )
    assert same(state(method.backbone), before)


@pytest.mark.parametrize("variant", TRAINED)
def test_every_trained_part_moves(params: Make, task: Task, variant: str) -> None:
    before = state(make(params, task, variant))
    after = trained(params, task, variant)
    frozen = () if variant == "finetune" else ("backbone",)
    still = [
        name
        for name, _ in after.named_parameters()
        if not name.startswith(frozen) and torch.equal(before[name], after.state_dict()[name])
    ]
    assert not still


def test_fine_tuning_trains_the_backbone_and_its_statistics(params: Make, task: Task) -> None:
    before, after = state(tiny_resnet()), state(trained(params, task, "finetune").backbone)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert any("running_mean" in name for name in moved)
    assert any(name.endswith("conv1.weight") for name in moved)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_fresh_batchnorm_trains_beside_frozen_statistics(params: Make, task: Task, frozen: bool) -> None:
    """`freeze_batchnorm` keeps what pretrained weights came with; the BatchNorms of the release's head have nothing."""
    train = {"steps": 3, "batch_size": 6, "lr": 1e-2, "freeze_batchnorm": frozen}
    before, after = make(params, task, "release").head, trained(params, task, "release", train=train).head
    assert before is not None
    assert after is not None
    moved = {
        name for name, value in state(before).items() if not torch.equal(value, after.state_dict()[name])
    }
    assert {f"refine.{layer}.running_{what}" for layer in (1, 4) for what in ("mean", "var")} <= moved


@pytest.mark.parametrize("variant", FROZEN)
def test_a_frozen_backbone_never_leaves_eval_mode(params: Make, task: Task, variant: str) -> None:
    method = make(params, task, variant)
    for _ in range(2):
        assert not any(module.training for module in method.backbone.modules())
        assert method.training
        method.eval().train()


@pytest.mark.parametrize("variant", TRAINED)
def test_the_optimiser_gets_what_is_trained_and_nothing_else(params: Make, task: Task, variant: str) -> None:
    method = make(params, task, variant, prompt_lr=3, backbone_lr=0.5)
    groups = method.parameter_groups(method.params.train)
    given = [id(p) for group in groups for p in group.params]
    assert len(given) == len(set(given))
    assert set(given) == {id(p) for p in method.parameters() if p.requires_grad}
    frozen = {id(p) for p in method.backbone.parameters()}
    assert (variant == "finetune") == bool(frozen & set(given))
    scales = {id(p): group.lr_scale for group in groups for p in group.params}
    assert {scales[id(p)] for p in method.prompt.parameters()} == {3} if method.prompt else True
    assert {scales[i] for i in frozen if i in scales} <= {0.5}
    assert method.classifier is not None
    assert scales[id(method.classifier.weight)] == 1


@pytest.mark.parametrize("variant", ["DPP", "FRPT"])
def test_the_gradient_reaches_the_prompt_through_the_frozen_backbone(
    params: Make, task: Task, batch: Batch, variant: str
) -> None:
    method = make(params, task, variant)
    method(batch)["loss"].backward()
    assert method.prompt is not None
    gradient = method.prompt.weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 0
    assert torch.isfinite(gradient).all()
    assert all(p.grad is None for p in method.backbone.parameters())


def test_the_prompts_gradient_is_that_of_the_loss(params: Make, task: Task, batch: Batch) -> None:
    """A step along the gradient changes the loss as the gradient says: nothing is detached on the way."""
    method = make(params, task, "DPP")
    assert method.prompt is not None
    method.double()
    torch.nn.init.normal_(method.prompt.weight, std=0.05)
    pictures = {"images": batch["images"].double() / 255, "labels": batch["labels"]}
    assert method.classifier is not None
    method.classifier.weight.data.mul_(50)

    def loss() -> torch.Tensor:
        maps = method.backbone(method.prompted(pictures["images"])[1]).feature_map
        logits = method.classifier(maps.mean((2, 3)))  # type: ignore[misc]
        return torch.nn.functional.cross_entropy(logits, pictures["labels"])

    (gradient,) = torch.autograd.grad(loss(), method.prompt.weight)
    direction, step = gradient / gradient.norm(), 1e-8
    with torch.no_grad():
        method.prompt.weight.add_(step * direction)
        above = loss()
        method.prompt.weight.sub_(2 * step * direction)
        measured = float(above - loss()) / (2 * step)
    assert measured == pytest.approx(float(gradient.norm()), rel=1e-3)


def test_at_the_start_the_prompt_changes_nothing(params: Make, task: Task, batch: Batch) -> None:
    plain, prompted = (make(params, task, name).eval() for name in ("frozen", "DPP"))
    with torch.no_grad():
        torch.testing.assert_close(
            prompted.embed(batch["images"]), plain.embed(batch["images"]), atol=1e-4, rtol=0
        )


def test_the_frozen_variant_is_the_pooled_backbone(params: Make, task: Task, batch: Batch) -> None:
    with torch.no_grad():
        pooled = tiny_resnet().eval()(batch["images"]).feature_map.mean((2, 3))
        got = make(params, task, "frozen").embed(batch["images"])
    torch.testing.assert_close(got, torch.nn.functional.normalize(pooled, dim=1))


def test_counts_follow_the_formula(params: Make, task: Task) -> None:
    prompt, head = 7 * 7 * 8, 2 * 16 * 2
    backbone = sum(p.numel() for p in tiny_resnet().parameters())
    expected = {
        "frozen": {"backbone": 0},
        "finetune": {"backbone": backbone},
        "DPP": {"prompt": prompt, "backbone": 0},
        "CAH": {"head": head, "backbone": 0},
        "attention": {"prompt": prompt, "head": head, "backbone": 0},
        "FRPT": {"prompt": prompt, "head": head, "backbone": 0},
    }
    models = {name: make(params, task, name) for name in expected}
    assert {name: model.trainable for name, model in models.items()} == expected
    counted = {name: sum(parts.values()) for name, parts in expected.items()}
    assert {name: model.trained_weights for name, model in models.items()} == counted


@pytest.mark.parametrize("variant", ["frozen", "finetune", "FRPT"])
def test_a_loaded_model_pools_as_the_saved_one_and_needs_no_classifier(
    params: Make, task: Task, batch: Batch, variant: str
) -> None:
    method = (make if variant == "frozen" else trained)(params, task, variant, pooling="gem")
    save_model(method, Path("model"))
    again = load_model(Path("model"))
    assert isinstance(again, Frpt)
    assert again.variant == method.variant
    assert again.classifier is None
    with torch.no_grad():
        expected = method.eval().embed(batch["images"])
        assert torch.equal(again.embed(batch["images"]), expected)
    torch.testing.assert_close(expected.norm(dim=1), torch.ones(len(expected)))
    assert again.trainable == method.trainable


def test_all_variants_train_save_and_load(
    params: Make, task: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    own = params()
    curves = train_variants("frpt", own, task, Path("m"))
    assert set(curves) == {f"{name}/0" for name in own.variants if name != "frozen"}
    assert list(load_variants("frpt", own, Path("m"))) == list(own.variants)
    assert f"FRPT: {7 * 7 * 8 + 2 * 16 * 2:,} trained weights" in capsys.readouterr().err


@pytest.mark.parametrize("variant", TRAINED)
def test_trains_in_half_precision(
    params: Make, task: Task, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")  # or it would be fp32
    method = trained(
        params, task, variant, train={"steps": 3, "batch_size": 6, "lr": 1e-2, "precision": "bf16"}
    )
    assert all(torch.isfinite(p).all() for p in method.parameters())


def test_any_backbone_with_a_map_serves(params: Make, task: Task, batch: Batch) -> None:
    save_backbone(tiny_vit(), task.backbone)
    method = make(params, task, "FRPT")
    losses = method(batch)
    losses["loss"].backward()
    assert set(losses) == {"cross_entropy", "loss"}
    assert torch.isfinite(losses["loss"])


def test_a_stage_that_is_not_there_is_refused(params: Make, task: Task) -> None:
    with pytest.raises(UserError, match=r"frpt\.stage 9: resnet10t has no such stage") as caught:
        make(params, task, "FRPT", stage=9)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernelsize": 3}, "frpt.kernelsize; did you mean 'kernel_size'"),
        ({"kernel_size": 4}, "kernel_size must be odd"),
        ({"fwhm": 0}, "frpt.fwhm"),
        ({"shot_steps": 60}, "frpt.shot_steps is called steps_per_shot"),
        ({"padding": -1}, "frpt.padding"),
        ({"grid": 1}, "frpt.grid"),
        ({"reduction": 0}, "frpt.reduction"),
        ({"variants": ["X"]}, "frpt.variants"),
        ({"variants": []}, "at least one"),
        ({"variants": ["DPP", "DPP"]}, "each once"),
        ({"pooling": "cls"}, "pooling must be average"),
        ({"train": {"steps": 3, "lr": 0}}, "frpt.train.lr"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(
    params: Make, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        params(**changes)
    assert "\n" not in str(caught.value)


def test_defaults_are_the_papers_and_the_released_samplers(params: Make) -> None:
    own = FrptParams.model_validate(params().model_dump(include={"images", "train"}))
    assert (own.stage, own.kernel_size, own.reduction, own.pooling) == (1, 31, 8, "average")
    assert (own.grid, own.fwhm, own.padding) == (31, 13, 30)


@pytest.mark.parametrize("variant", ["frozen", "DPP"])
def test_a_size_that_the_backbone_cannot_take_is_refused(params: Make, task: Task, variant: str) -> None:
    save_backbone(tiny_vit(), task.backbone)
    with pytest.raises(UserError, match=r"vit_tiny_patch16_224 cannot take pictures of 48 px .*images\.side"):
        make(params, task, variant, images={"side": SIDE + 16})
