"""CPRFL as a whole: what trains, what stays, the optimiser's groups, thresholds, saving and loading."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import SIDE, tiny_resnet, tiny_vit

import fieldmark
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, save_model
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.ema import EmaWeights
from fieldmark.engine.task import Task
from fieldmark.engine.training import make_sampler, train_on
from fieldmark.methods.cprfl.model.criteria import make_criterion
from fieldmark.methods.cprfl.model.head import LinearHead, PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.names import LINEAR, LOSS_TITLES, PROMPTED, TABLE
from fieldmark.methods.cprfl.model.params import ALL as DEFAULTS
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.methods.cprfl.model.thresholds import choose_thresholds
from fieldmark.texts.prompts import read_prompts
from fieldmark.vision.backbones import NetworkParams, create_backbone, save_backbone

Make = Callable[..., CprflParams]
Batch = dict[str, torch.Tensor]
ALL = (*TABLE, "CPRFL-DB", "linear-PI-focal")


def make(params: Make, task: Task, name: str, **changes: object) -> Cprfl:
    variant = Cprfl.named(params(variants=[name], **changes), name)
    torch.manual_seed(0)
    return Cprfl.build(variant, task)


def train(method: Cprfl, task: Task, folder: str) -> Cprfl:
    """Train in place; the mid-training states lie in `folder`."""
    elsewhere = replace(task, states=StateKey(Path(folder)))
    train_on(method, method.params.images, method.params.seeded, elsewhere, f"cprfl/{method.variant.name}")
    return method


def trained(params: Make, task: Task, name: str, folder: str = "r", **changes: object) -> Cprfl:
    return train(make(params, task, name, **changes), task, folder)


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_every_variant_has_its_parts_and_one_budget(params: Make, task: Task) -> None:
    variants = Cprfl.variants(params(variants=ALL))
    assert tuple(variant.name for variant in variants) == ALL
    assert len({variant.params.train.model_dump_json(exclude={"sampling"}) for variant in variants}) == 1
    assert len({(variant.title, variant.parts) for variant in variants}) == len(ALL)
    for name in ALL:
        head = make(params, task, name).head
        assert isinstance(head, LinearHead if name in LINEAR else PromptHead)
        if isinstance(head, PromptHead):
            assert head.vectors.shape == ((4, 4) if name == "one-hot" else (4, 10))
            assert isinstance(head.prompt_network, torch.nn.Linear) == name.startswith("linear-PI")
            assert head.no_cls_grad == (name == "VSI-path")
            assert head.no_feature_grad == (name == "direct-path")


def test_losses_are_those_of_the_pictures_targets(params: Make, task: Task, batch: Batch) -> None:
    by_row = task.manifest.set_index("row")["labels"]
    rows = task.subset("train").rows
    targets = torch.tensor(
        [[float(n in by_row[row]) for n in ("crow", "finch", "heron", "wren")] for row in rows]
    )
    some = {"images": batch["images"][[5, 0, 9]], "indices": torch.tensor([5, 0, 9])}
    for name in ALL:
        method = make(params, task, name).eval()
        losses, logits, loss = method(some), method.logits(some["images"]), method.variant.parts.loss
        assert set(losses) == {loss, "loss"}
        expected = make_criterion(loss, method.params, targets)(logits, targets[[5, 0, 9]])
        torch.testing.assert_close(losses["loss"], expected)


@pytest.mark.parametrize("head", PROMPTED)
@pytest.mark.parametrize("loss", LOSS_TITLES)
def test_every_head_takes_every_loss(params: Make, head: str, loss: str) -> None:
    [plain, other] = Cprfl.variants(params(variants=[head, f"{head}-{loss}"]))
    assert other.parts == replace(plain.parts, loss=loss)
    assert other.title.endswith(LOSS_TITLES[loss])
    assert Cprfl.named(other.params, other.name) == other
    assert (other.title == plain.title) == (head == "CPRFL" and loss == "ASL")


def test_re_sampling_draws_pictures_class_by_class_and_nothing_else_is_other(
    params: Make, task: Task
) -> None:
    plain, resampled = (make(params, task, name) for name in ("BCE", "RS"))
    subset, often = task.subset("train"), {}
    for method in (plain, resampled):
        sampler = make_sampler(subset, method.params.seeded, task.manifest)
        drawn = np.concatenate([sampler.batch(step) for step in range(20)])
        often[method.variant.name] = method.targets[drawn].mean(0)
    rarest = int(plain.targets.sum(0).argmin())
    assert often["RS"].min() >= 0.25  # each of the four classes has a turn in every round
    assert often["RS"][rarest] > 1.5 * often["BCE"][rarest]
    as_before = resampled.params.train.model_copy(update={"sampling": "shuffled"})
    assert as_before == plain.params.train
    assert Cprfl.named(resampled.params, "RS") == resampled.variant


def test_cprfl_is_trained_with_each_of_several_prompts_and_the_rest_with_the_first(
    params: Make, several_prompts: Task
) -> None:
    block = params(variants=["ASL", "random", "CPRFL"], prompts=["main", "glove", "other"])
    variants = Cprfl.variants(block)
    assert [variant.name for variant in variants] == ["ASL", "random", "CPRFL", "CPRFL@glove", "CPRFL@other"]
    assert [variant.title for variant in variants][3:] == [
        "CPRFL with prompts from glove",
        "CPRFL with prompts from other",
    ]
    for variant in variants[1:]:
        method = Cprfl.build(variant, several_prompts)
        assert isinstance(method.head, PromptHead)
        item = variant.name.partition("@")[2] or "main"
        vectors = read_prompts(several_prompts.text / item).embeddings
        assert method.head.vectors.shape == vectors.shape
        assert torch.equal(method.head.vectors, vectors) == (variant.name != "random")
        assert Cprfl.named(method.params, variant.name) == variant
    alone = Cprfl.variants(params(variants=["ASL"], prompts=["main", "glove"]))
    assert [variant.name for variant in alone] == ["ASL"]  # where there is no CPRFL to compare with


def test_a_model_of_other_prompts_is_read_again(params: Make, several_prompts: Task, batch: Batch) -> None:
    block = params(variants=["CPRFL"], prompts=["main", "glove"])
    method = Cprfl.build(Cprfl.variants(block)[1], several_prompts)
    save_model(method, Path("model"))
    again = load_model(Path("model"))
    assert isinstance(again, Cprfl)
    with torch.no_grad():
        torch.testing.assert_close(
            again.probabilities(batch["images"]), method.eval().probabilities(batch["images"])
        )


def test_prompts_that_are_not_there_or_not_asked_for_are_told(params: Make) -> None:
    items = {"main": {"dataset": "a"}, "glove": {"dataset": "a"}, "far": {"dataset": "b"}}
    one, three = params(), params(prompts=["main", "glove"])
    assert one.unmet("prompts/main", items["main"]) is None
    assert three.unmet("prompts", items) is None
    wrong = {
        "text is 'none'; name some": one.unmet("none", {}),
        "set text to prompts": three.unmet("prompts/main", items["main"]),
        "say in cprfl.prompts which": one.unmet("prompts", items),
        "'glow', which is not among prompts: main, glove, far": params(prompts=["glow"]).unmet(
            "prompts", items
        ),
        "of several data sets: a and b": params(prompts=["main", "far"]).unmet("prompts", items),
    }
    for message, told in wrong.items():
        assert told is not None
        assert message in told
        assert "\n" not in told


def test_parameters_of_the_losses_are_used(params: Make, task: Task, batch: Batch) -> None:
    for name, change in (
        ("ASL", {"asymmetric": {"gamma_neg": 1}}),
        ("CPRFL", {"asymmetric": {"clip": 0.3}}),
        ("focal", {"focal_gamma": 0.5}),
        ("DB", {"balance": {"gamma": 0.5}}),
        ("DB", {"balance": {"neg_scale": 5}}),
    ):
        plain, changed = (make(params, task, name, **c).eval()(batch)["loss"] for c in ({}, change))
        assert not torch.equal(plain, changed)


@pytest.mark.parametrize("variant", ALL)
def test_what_is_trained_moves_and_what_is_not_stays(params: Make, task: Task, variant: str) -> None:
    before, after = state(make(params, task, variant)), trained(params, task, variant)
    moved = {
        name
        for name, _ in after.named_parameters()
        if not torch.equal(before[name], after.state_dict()[name])
    }
    everything = {name for name, _ in after.named_parameters()}
    cut = ("head.interaction", "head.projection", "backbone") if variant == "direct-path" else ()
    assert moved == {name for name in everything if not name.startswith(cut)}
    if variant not in LINEAR:
        assert torch.equal(after.state_dict()["head.vectors"], before["head.vectors"])


def test_a_frozen_backbone_is_not_changed_by_a_bit(params: Make, task: Task) -> None:
    method = trained(params, task, "CPRFL", backbone_lr=0)
    assert same(state(method.backbone), state(tiny_resnet()))
    assert not any(module.training for module in method.train().backbone.modules())
    assert method.head.training


def test_the_optimiser_gets_everything_once_at_its_own_rate(params: Make, task: Task) -> None:
    method = make(params, task, "CPRFL", backbone_lr=0.25)
    groups = method.parameter_groups(method.params.train.model_copy(update={"weight_decay": 1e-4}))
    given = [id(p) for group in groups for p in group.params]
    assert len(given) == len(set(given))
    assert set(given) == {id(p) for p in method.parameters()}
    slow = {id(p) for p in method.backbone.parameters()}
    for group in groups:
        assert group.lr_scale == (0.25 if id(group.params[0]) in slow else 1.0)
        assert {p.ndim > 1 for p in group.params} == {group.weight_decay > 0}


def test_a_linear_classifier_has_a_rate_of_its_own(params: Make, task: Task) -> None:
    for name, scale in (("ASL", 5.0), ("CPRFL", 1.0)):
        method = make(params, task, name, linear_lr=5)
        groups = method.parameter_groups(method.params.train)
        scales = {id(p): group.lr_scale for group in groups for p in group.params}
        assert {scales[id(p)] for p in method.head.parameters()} == {scale}
        assert {scales[id(p)] for p in method.backbone.parameters()} == {0.1}


def test_the_papers_groups_hold_as_many_tensors_as_its_code_meant(params: Make) -> None:
    papers = params(variants=["CPRFL"], dim=2048, heads=8, head_dim=512, mlp_dim=2048)
    with torch.device("meta"):
        network = NetworkParams(library="torchvision", arch="resnet101", weights=None)
        backbone = create_backbone(network, 64)
        method = Cprfl(Cprfl.named(papers, "CPRFL"), backbone, ["a", "b"], torch.empty(2, 1024))
    sizes = [len(group.params) for group in method.parameter_groups(papers.train)]
    assert sizes == [7, 10, 104, 208]
    assert round(sum(p.numel() for p in backbone.parameters()) / 1e6, 2) == 42.50


def test_training_lowers_the_loss_and_finds_the_classes(params: Make, task: Task) -> None:
    method = trained(params, task, "CPRFL", train={"steps": 60, "batch_size": 10, "lr": 5e-3}, backbone_lr=1)
    curve = torch.load(next(Path("r").rglob("state.pt")), weights_only=True)["history"]
    assert curve[-1]["ASL"] < 0.7 * curve[0]["ASL"]
    assert curve[-1]["loss"] == curve[-1]["ASL"]
    assert method.targets.shape == (30, 4)


def test_one_picture_is_scored_alike_alone_and_among_others(params: Make, task: Task, batch: Batch) -> None:
    for name in ("CPRFL", "ASL"):
        method = make(params, task, name).eval()
        with torch.no_grad():
            alone, among = method.probabilities(batch["images"][:1]), method.probabilities(batch["images"])
        assert alone.shape == (1, 4)
        torch.testing.assert_close(alone[0], among[0])
        torch.testing.assert_close(among, method.logits(batch["images"]).sigmoid())


def test_thresholds_are_those_of_the_validation_pictures(params: Make, task: Task) -> None:
    method = make(params, task, "CPRFL")
    assert method.thresholds.tolist() == [0.5] * 4
    method.finish(task)
    subset = task.subset("val")
    images = torch.stack([torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in subset.rows])
    labels = task.manifest.set_index("row")["labels"]
    targets = np.array([[name in labels[row] for name in method.class_names] for row in subset.rows])
    with torch.no_grad():
        expected = choose_thresholds(method.eval().probabilities(images), targets)
    torch.testing.assert_close(method.thresholds, torch.from_numpy(expected).float())
    assert len(set(method.thresholds.tolist())) > 1


def test_without_validation_pictures_thresholds_stay(params: Make, without_val: Task) -> None:
    method = make(params, without_val, "ASL")
    method.finish(without_val)
    assert method.thresholds.tolist() == [0.5] * 4


@pytest.mark.parametrize("variant", ["CPRFL", "ASL"])
def test_save_and_load_give_the_same_probabilities(
    params: Make, task: Task, batch: Batch, variant: str
) -> None:
    method = trained(params, task, variant)
    method.finish(task)
    save_model(method, Path("model"))
    again = load_model(Path("model"))
    assert isinstance(again, Cprfl)
    with torch.no_grad():
        expected = method.eval().probabilities(batch["images"])
        torch.testing.assert_close(again.probabilities(batch["images"]), expected)
    assert torch.equal(again.thresholds, method.thresholds)
    assert again.class_names == method.class_names == ["crow", "finch", "heron", "wren"]
    if variant in LINEAR:
        with pytest.raises(RuntimeError, match="no prompts"):
            again.attention(batch["images"])
    else:
        assert again.attention(batch["images"][:2]).shape == (2, 4, 2, 2)


def test_in_use_a_picture_has_the_categories_that_reach_their_thresholds(params: Make, task: Task) -> None:
    method = trained(params, task, "CPRFL")
    method.finish(task)
    save_model(method, Path("model"))
    picture = task.store[int(task.subset("test").rows[0])]
    [prediction] = fieldmark.load(Path("model")).predict(picture)
    with torch.no_grad():
        expected = method.eval().probabilities(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None])[0]
    np.testing.assert_allclose(prediction.probabilities, expected.numpy(), rtol=1e-5)
    said = [n for n, p, t in zip(prediction.names, expected, method.thresholds, strict=True) if p >= t]
    assert sorted(name for name, _ in prediction.present) == sorted(said)
    assert [value for _, value in prediction.present] == sorted(
        (v for _, v in prediction.present), reverse=True
    )


def test_only_what_is_trained_counts_as_trained_weights(params: Make, task: Task) -> None:
    head = {"direct-path": "prompt_network", "CPRFL": ""}
    for name, part in head.items():
        frozen, whole = make(params, task, name, backbone_lr=0), make(params, task, name, backbone_lr=1)
        in_head = sum(p.numel() for p in frozen.head.get_submodule(part).parameters())
        in_backbone = sum(p.numel() for p in whole.backbone.parameters())
        assert frozen.trained_weights == in_head
        assert whole.trained_weights == in_head + (0 if name == "direct-path" else in_backbone)


def test_the_averaged_weights_are_what_is_kept(
    params: Make, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []
    keep = EmaWeights.copy_to_module
    monkeypatch.setattr(
        EmaWeights, "copy_to_module", lambda self: (copied.append(dict(self.shadow)), keep(self))
    )
    method = trained(params, task, "CPRFL", train={"steps": 4, "batch_size": 6, "lr": 1e-2, "ema": 0.998})
    kept = {**dict(method.named_parameters()), **dict(method.named_buffers())}
    chosen = copied[0].pop("thresholds")  # after training, for the averaged weights
    assert chosen.unique().tolist() == [0.5]
    assert all(torch.equal(kept[name], value) for name, value in copied[0].items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head_dims": 3}, "cprfl.head_dims; did you mean 'head_dim'"),
        ({"variants": ["X"]}, "cprfl.variants.*'X' is no variant; there are BCE, RW, .*CPRFL"),
        ({"variants": ["CPRFL-RS"]}, "'CPRFL-RS' is no variant"),
        ({"variants": ["ASL-DB"]}, "'ASL-DB' is no variant"),
        ({"class_balanced": {"decay": 1}}, "cprfl.class_balanced.decay"),
        ({"ldam": {"margin": -1}}, "cprfl.ldam.margin"),
        ({"variants": []}, "at least one"),
        ({"variants": ["ASL", "ASL"]}, "each once"),
        ({"tau": 0}, "cprfl.tau"),
        ({"prompts": ["a", "a"]}, "prompts must name at least one, each once"),
        ({"dropout": 1}, "cprfl.dropout"),
        ({"backbone_lr": -1}, "cprfl.backbone_lr"),
        ({"asymmetric": {"clip": 1}}, "cprfl.asymmetric.clip"),
        ({"asymmetric": {"gamma": 1}}, "cprfl.asymmetric.gamma"),
        ({"balance": {"neg_scale": 0}}, "cprfl.balance.neg_scale"),
        ({"heads": 0}, "cprfl.heads"),
        ({"length": 0}, "cprfl.length"),
        ({"linear_lr": 0}, "cprfl.linear_lr"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(
    params: Make, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        params(**changes)
    assert "\n" not in str(caught.value)


def test_defaults_are_the_papers(params: Make) -> None:
    default = CprflParams.model_validate(params().model_dump(include={"images", "train"}))
    sizes = (default.dim, default.tau, default.heads, default.head_dim, default.mlp_dim, default.depth)
    assert sizes == (2048, 0.5, 8, 512, 2048, 1)
    assert (default.dropout, default.backbone_lr, default.focal_gamma) == (0.1, 0.1, 2.0)
    assert (default.length, default.linear_lr, default.variants) == (None, 1.0, DEFAULTS)
    assert default.asymmetric.model_dump() == {"gamma_pos": 0, "gamma_neg": 4, "clip": 0.05}
    assert default.balance.model_dump() == {
        "alpha": 0.1,
        "beta": 10,
        "gamma": 0.2,
        "neg_scale": 2,
        "init_bias": 0.05,
    }


def test_a_size_that_the_backbone_cannot_take_is_refused(params: Make, task: Task) -> None:
    save_backbone(tiny_vit(), task.backbone)
    with pytest.raises(UserError, match="vit_tiny_patch16_224 cannot take pictures of 48 px"):
        make(params, task, "CPRFL", images={"side": SIDE + 16})
