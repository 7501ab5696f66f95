"""LOCA as a whole: modes and their side effects, the teacher, optimiser groups, exporting."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny import SIDE

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, load_variants, save_model, train_variants
from fieldmark.engine.schedule import learning_rate
from fieldmark.engine.task import Task
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.methods.loca.model import method as module
from fieldmark.methods.loca.model.collapse import diagnosis, feature_spread, prototype_use, target_entropy
from fieldmark.methods.loca.model.method import HEADS, Loca
from fieldmark.methods.loca.model.modes import MODES
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.loca.model.teacher import teacher_momentum
from fieldmark.vision.backbones import load_backbone

Make = Callable[..., LocaParams]
Batch = dict[str, torch.Tensor]
TRAINED = ["supervised", "position", "feature", "LOCA", "zhai", "box"]
TERMS = {
    "supervised": {"cross_entropy"},
    "position": {"position"},
    "zhai": {"position"},
    "feature": {"cluster", "me_max"},
    "LOCA": {"position", "cluster", "me_max"},
    "box": {"box_distance", "box_overlap"},
}
EVERY_TERM = set().union(*TERMS.values())


def build(params: Make, task: Task, mode: str, **changes: object) -> Loca:
    torch.manual_seed(0)
    return Loca.build(Loca.named(params(variants=[mode], **changes), mode), task)


def weights(method: torch.nn.Module) -> Batch:
    return {name: value.detach().clone() for name, value in method.state_dict().items()}


@pytest.mark.parametrize("mode", TRAINED)
def test_the_loss_is_the_sum_of_its_terms_and_reaches_every_weight(
    params: Make, task: Task, batch: Batch, mode: str
) -> None:
    method = build(params, task, mode).train()
    losses = method(batch)
    assert EVERY_TERM & losses.keys() == TERMS[mode]
    assert float(losses["loss"].detach()) == pytest.approx(
        sum(float(losses[name].detach()) for name in TERMS[mode]), rel=1e-6
    )
    losses["loss"].backward()
    groups = method.parameter_groups(method.params.train)
    given = {id(p) for group in groups for p in group.params}
    for name, parameter in method.named_parameters():
        assert parameter.requires_grad == (id(parameter) in given), name
        assert (parameter.grad is not None) == parameter.requires_grad, name
    assert all(
        not value.requires_grad for name, value in losses.items() if name not in (*TERMS[mode], "loss")
    )


def test_variants_name_modes_and_etas(params: Make) -> None:
    variants = Loca.variants(
        params(variants=["random", "supervised", "position-0", "LOCA", "LOCA-0.5", "feature"])
    )
    assert {v.name: (v.parts.mode.name, v.parts.eta, v.params.train.steps) for v in variants} == {
        "random": ("random", 0.8, 0),
        "supervised": ("supervised", 0.8, 4),
        "position-0": ("position", 0.0, 4),
        "LOCA": ("LOCA", 0.8, 4),
        "LOCA-0.5": ("LOCA", 0.5, 4),
        "feature": ("feature", 0.8, 4),
    }
    assert [v.title for v in variants[3:5]] == [
        "position and feature loss",
        "position and feature loss, eta 0.5 in place of 0.8",
    ]


def test_variants_name_networks_and_fractions_of_the_pictures(params: Make, task: Task) -> None:
    """Figure 6: the variant has another network, or learns from a part of the pictures; its block asks for it again."""
    narrow = {
        "arch": "vit_tiny_patch16_224",
        "options": {"patch_size": 8, "embed_dim": 8, "depth": 1, "num_heads": 2},
    }
    block = params(
        variants=["LOCA", "LOCA+narrow", "LOCA-0.5@0.5", "LOCA+narrow@0.25"], networks={"narrow": narrow}
    )
    variants = Loca.variants(block)
    assert [(v.parts.network, v.parts.fraction, v.parts.eta, v.parts.scaled) for v in variants] == [
        (None, 1.0, 0.8, False),
        ("narrow", 1.0, 0.8, True),
        (None, 0.5, 0.5, True),
        ("narrow", 0.25, 0.8, True),
    ]
    assert variants[3].title == "position and feature loss, network narrow, 0.25 of the pictures"
    for variant in variants:
        assert Loca.named(variant.params, variant.name) == variant
    dims = [Loca.build(variant, task).backbone.spec.dim for variant in variants]
    assert dims == [16, 8, 16, 8]
    whole = set(task.subset("train").frame["id"])
    seen = [set(Loca.training_task(variant, task).subset("train").frame["id"]) for variant in variants]
    assert [len(ids) for ids in seen] == [18, 18, 9, round(18 / 4)]
    assert seen[3] < seen[2] < whole == seen[0]
    for variant in variants:
        assert len(Loca.training_task(variant, task).subset("test")) == len(task.subset("test"))
    other = dataclasses.replace(variants[2], params=variants[2].params.for_seed(5))
    assert set(Loca.training_task(other, task).subset("train").frame["id"]) != seen[2]


def test_an_eta_of_its_own_decides_what_is_seen(params: Make, task: Task, batch: Batch) -> None:
    block = params(variants=["LOCA", "LOCA-0", "LOCA-0.5"])
    visible = {
        variant.name: len(Loca.build(variant, task)._chosen(0, torch.device("cpu"), None).visible)
        for variant in Loca.variants(block)
    }
    assert visible == {"LOCA": 3, "LOCA-0": 16, "LOCA-0.5": 8}


def test_location_only_has_the_releases_side_effects(params: Make, task: Task, batch: Batch) -> None:
    """No teacher, gradient through the reference, early dropping, no position table on queries."""
    method = build(params, task, "position").train()
    assert method.teacher is None
    views, _ = method._views(batch["images"], 0, 0)
    chosen = method._chosen(0, views.reference.images.device, None)
    shown = views.reference.images.clone().requires_grad_()
    given = dataclasses.replace(views, reference=dataclasses.replace(views.reference, images=shown))
    method.losses(given, chosen)["loss"].backward()
    assert shown.grad is not None
    touched = shown.grad.unfold(2, 8, 8).unfold(3, 8, 8).abs().sum((0, 1, 4, 5)).flatten() > 0
    assert touched.nonzero()[:, 0].tolist() == chosen.visible.tolist()
    before = method.network.queries(views, chosen, positions=False)
    method.backbone.trunk.network.pos_embed.data.mul_(2.0)
    assert torch.equal(method.network.queries(views, chosen, positions=False), before)
    assert not torch.equal(method.network.queries(views, chosen, positions=True), before)


def test_with_the_feature_loss_the_reference_is_the_teachers(params: Make, task: Task, batch: Batch) -> None:
    method = build(params, task, "LOCA").train()
    assert method.teacher is not None
    views, _ = method._views(batch["images"], 0, 0)
    chosen = method._chosen(0, views.reference.images.device, None)
    shown = views.reference.images.clone().requires_grad_()
    given = dataclasses.replace(views, reference=dataclasses.replace(views.reference, images=shown))
    before = method.losses(given, chosen)
    before["loss"].backward()
    assert shown.grad is None
    assert all(p.grad is None for p in method.teacher.parameters())
    method.teacher.backbone.trunk.network.pos_embed.data.mul_(2.0)
    after = method.losses(given, chosen)
    assert float(before["cluster"].detach()) != float(after["cluster"].detach())
    assert float(before["position"].detach()) != float(after["position"].detach())


def test_stochastic_depth_is_active_in_the_teacher(params: Make, task: Task, batch: Batch) -> None:
    method = build(params, task, "LOCA", drop_path=0.5).train()
    views, _ = method._views(batch["images"], 0, 0)
    plain = method._chosen(0, views.reference.images.device, None)
    factors = torch.ones(len(batch["images"]), 4, 2, 2)
    factors[:, 0, 1] = 0.0  # the reference's last layer
    dropped = dataclasses.replace(plain, branches=factors)
    one, other = (method._assignments(method.teacher, views, c)[0] for c in (plain, dropped))  # type: ignore[arg-type]
    assert not torch.equal(one, other)
    assert torch.equal(
        method.network.queries(views, plain, True), method.network.queries(views, dropped, True)
    )


def test_single_image_prediction_has_no_positions_to_copy(params: Make, task: Task, batch: Batch) -> None:
    method = build(params, task, "zhai").train()
    table = method.backbone.trunk.network.pos_embed
    assert not table.requires_grad
    assert not table.any()
    pretext = method.eval().pretext(batch["images"], 0)
    assert pretext.valid.tolist() == [16] * len(batch["images"])
    assert len(pretext.predicted) == 0


def test_teachers_momentum_and_movement(params: Make, task: Task) -> None:
    assert teacher_momentum(0.996, 0, 100) == pytest.approx(0.996)
    assert teacher_momentum(0.996, 50, 100) == pytest.approx(0.998)
    assert teacher_momentum(0.996, 99, 100) == pytest.approx(1.0, abs=1e-5)
    method = build(params, task, "LOCA", momentum=0.9)
    assert method.teacher is not None
    begun = weights(method.teacher)
    assert all(torch.equal(value, begun[name]) for name, value in method.network.state_dict().items())
    for parameter in method.network.parameters():
        parameter.data.add_(1.0)
    method.after_step(0)
    for name, value in method.teacher.state_dict().items():
        torch.testing.assert_close(value, begun[name] + 0.1, msg=name)


def test_decay_groups(params: Make, task: Task) -> None:
    method = build(params, task, "LOCA")
    decayed, plain = (
        {name for name, p in method.named_parameters() if any(p is q for q in group.params)}
        for group in method.parameter_groups(method.params.train)
    )
    prefix = "network.backbone.trunk.network."
    assert {
        f"{prefix}{n}" for n in ("pos_embed", "patch_embed.proj.weight", "blocks.1.attn.qkv.bias")
    } <= decayed
    assert {"network.position.cross.query.bias", "network.position.cross.key_value.bias"} <= decayed
    assert {
        f"{prefix}{n}" for n in ("norm.weight", "patch_embed.proj.bias", "blocks.1.attn.proj.bias")
    } <= plain
    assert {"network.position.cross.proj.bias", "network.projection.mlp.0.bias"} <= plain
    assert [group.weight_decay for group in method.parameter_groups(method.params.train)] == [0.1, 0.0]


def test_learning_rate_of_the_released_recipe(params: Make) -> None:
    recipe = {"steps": 125_100, "lr": 1e-3, "schedule": "cosine", "final": 0.01, "warmup_steps": 18_765}
    train = params(train=recipe).train
    assert learning_rate(train, 18_765) == pytest.approx(1e-3)
    assert learning_rate(train, 62_550) == pytest.approx(6.40e-4, rel=1e-3)
    assert learning_rate(train, 125_099) == pytest.approx(1e-5, rel=1e-3)


def test_views_do_not_depend_on_how_a_batch_is_cut(
    params: Make, task: Task, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second micro-batch of the second of two processes sees what stands there in the whole batch."""
    seen: list[range] = []
    plain = module.draws
    monkeypatch.setattr(module, "draws", lambda *args: (seen.append(args[2]), plain(*args))[1])
    train = {"steps": 4, "batch_size": 16, "lr": 1e-3, "accumulate": 2}
    method = build(params, task, "position", train=train).train()
    monkeypatch.setattr(module, "process_rank", lambda: 1)
    method.before_step(3)
    for _ in range(2):
        method({"images": batch["images"][:4]})
    method.before_step(4)
    method({"images": batch["images"][:4]})
    assert seen == [range(8, 12), range(12, 16), range(8, 12)]


def test_all_variants_train_save_and_load(params: Make, task: Task, tmp_path: Path) -> None:
    block = params(variants=list(MODES))
    curves = train_variants("loca", block, task, tmp_path / "m")
    assert list(curves) == [f"{name}/0" for name in TRAINED]
    assert {"prototypes", "target_entropy", "feature_std", "accuracy"} <= curves["LOCA/0"][-1].keys()
    loaded = load_variants("loca", block, tmp_path / "m")
    assert {name: model.has_pretext for name, [model] in loaded.items()} == {
        **dict.fromkeys(("random", "position", "LOCA", "zhai"), True),
        **dict.fromkeys(("supervised", "feature", "box"), False),
    }


def test_supervised_learns_the_classes_from_both_large_views(params: Make, task: Task, batch: Batch) -> None:
    method = build(params, task, "supervised", drop_path=0.0).train()
    assert method.network.classifier is not None
    views, _ = method._views(batch["images"], 0, 0)
    seen = [method.backbone(view.images).feature_map.mean((2, 3)) for view in (views.reference, views.random)]
    logs = [method.network.classifier(features).log_softmax(1) for features in seen]
    wanted = -sum(log[range(len(log)), batch["labels"]].sum() for log in logs) / (2 * len(batch["labels"]))
    torch.testing.assert_close(method(batch)["cross_entropy"], wanted, rtol=1e-5, atol=1e-6)


def test_supervised_needs_classes(params: Make, task: Task) -> None:
    classless = task.with_split(task.split.assign(label=-1))
    with pytest.raises(UserError, match="the pictures of this split have none"):
        build(params, classless, "supervised")


@pytest.mark.parametrize("mode", ["supervised", "feature", "box"])
def test_a_mode_that_learns_no_positions_predicts_none(params: Make, task: Task, mode: str) -> None:
    method = build(params, task, mode)
    assert not method.has_pretext
    with pytest.raises(RuntimeError, match="no position classifier"):
        method._logits(torch.zeros(1, 1, 16), None)


def test_pretext_counts_valid_patches_of_all_queries(params: Make, task: Task, batch: Batch) -> None:
    method = build(params, task, "LOCA").eval()
    found = method.pretext(batch["images"], 0)
    count = len(batch["images"])
    assert found.predicted.shape == found.views.focal.targets.shape == (2, count, 2, 2)
    valid = (found.views.focal.targets >= 0).sum((0, 2, 3))
    assert (found.valid >= valid).all()
    assert int(found.valid.max()) <= 6 + 2 * 4
    assert (found.correct <= found.valid).all()
    hits = (found.predicted == found.views.focal.targets).sum((0, 2, 3))
    assert (found.correct >= hits).all()
    assert not torch.equal(found.views.focal.boxes, method.pretext(batch["images"], count).views.focal.boxes)


def test_heads_that_do_not_fit_are_refused(params: Make, task: Task, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(build(params, task, "LOCA"), folder)
    heads = load_file(folder / HEADS)
    save_file({name: value for name, value in heads.items() if "classifier" not in name}, folder / HEADS)
    with pytest.raises(UserError, match=r"do not fit its model\.json"):
        load_model(folder)


def test_irt_starts_from_the_exported_folder(params: Make, task: Task, batch: Batch, tmp_path: Path) -> None:
    method = build(params, task, "LOCA").eval()
    folder = tmp_path / "loca" / "variants" / "LOCA"
    save_model(method, folder)
    backbone = load_backbone(folder).eval()
    with torch.no_grad():
        assert torch.equal(
            backbone(batch["images"]).feature_map, method.backbone(batch["images"]).feature_map
        )
    fields = {"pooling": "average", "images": {"side": SIDE}, "train": {"steps": 1, "lr": 1e-3}}
    started = dataclasses.replace(task, backbone=folder)
    irt = Irt.build(Irt.named(parse(IrtParams, fields, "irt"), "R"), started).eval()
    with torch.no_grad():
        torch.testing.assert_close(irt.embed(batch["images"]), method.embed(batch["images"]))
    with pytest.raises(UserError, match="none; use average"):
        Irt.build(Irt.named(parse(IrtParams, {**fields, "pooling": "cls"}, "irt"), "R"), started)


def test_measures_of_collapse_by_hand() -> None:
    assert float(feature_spread(torch.ones(3, 4, 8))) == pytest.approx(0.0, abs=1e-6)
    spread = torch.randn(50, 40, 64, generator=torch.Generator().manual_seed(0))
    assert float(feature_spread(spread)) == pytest.approx(1.0, abs=0.02)
    assert float(target_entropy(torch.eye(5))) == 0
    assert float(target_entropy(torch.full((7, 5), 0.2))) == pytest.approx(1.0)
    assert float(prototype_use(torch.tensor(-math.log(4)), 8)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("point", "word"),
    [
        ({"prototypes": 0.5, "target_entropy": 0.4, "feature_std": 0.7}, None),
        ({}, None),
        ({"prototypes": 0.001}, "prototypes"),
        ({"target_entropy": 0.999}, "uniform"),
        ({"feature_std": 0.01}, "same features"),
    ],
)
def test_a_collapsed_run_is_named(point: dict[str, float], word: str | None) -> None:
    said = diagnosis(point)
    assert said is None if word is None else word in str(said)


def test_finish_warns_of_a_collapse(
    params: Make, task: Task, batch: Batch, capsys: pytest.CaptureFixture[str]
) -> None:
    method = build(params, task, "LOCA").train()
    for part in (method.network, method.teacher):
        torch.nn.init.zeros_(part.backbone.trunk.network.norm.weight)  # type: ignore[union-attr]
        torch.nn.init.ones_(part.backbone.trunk.network.norm.bias)  # type: ignore[union-attr]
    method(batch)
    method.finish(task)
    assert "loca LOCA has collapsed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": ["loca"]}, "variants must name random"),
        ({"variants": ["LOCA", "LOCA"]}, "each once"),
        ({"variants": ["LOCA-1.5"]}, "LOCA-0.5"),
        ({"variants": []}, "variants must name"),
        ({"variants": ["LOCA+small"]}, r"networks does not have \(none\)"),
        ({"variants": ["supervised@0.5"]}, "which supervised does not learn from"),
        ({"variants": ["random@0.5"]}, "which random does not learn from"),
        ({"variants": ["LOCA@1.5"]}, "LOCA@0.1"),
        ({"networks": {"a": {"arch": "x", "options": {"img_size": 3}}}}, "img_size is set by LOCA itself"),
        ({"eta": 1.0}, "loca.eta"),
        ({"options": {"class_token": True}}, "class_token is set by LOCA itself"),
        ({"views": {"focal_area": [0.5, 0.2]}}, "focal_area must be two fractions"),
        ({"views": {"aspect": [0.0, 1.0]}}, "aspect must be two positive"),
        ({"masking": "random"}, "loca.masking"),
        ({"etta": 0.5}, "did you mean 'eta'"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(
    params: Make, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        params(**changes)
    assert "\n" not in str(caught.value)


def test_defaults_are_the_released_configuration() -> None:
    block = parse(LocaParams, {"images": {}, "train": {"steps": 1, "lr": 1e-3}}, "loca")
    assert (block.eta, block.masking, block.momentum, block.drop_path) == (0.8, "consecutive", 0.996, 0.1)
    head, views = block.head, block.views
    assert (head.prototypes, head.hidden, head.bottleneck, head.sinkhorn) == (4096, 2048, 256, 3)
    assert (head.temperature, head.sharpening) == (0.1, 0.05)
    assert (views.reference_size, views.random_tokens, views.focal_count, views.focal_size) == (
        224,
        70,
        9,
        96,
    )
