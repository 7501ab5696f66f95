"""PMA as a whole: variants, losses, saving, loading and resuming."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from support.tiny import SIDE, tiny_vit
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, save_model, train_variants
from fieldmark.engine import loop
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.task import Task
from fieldmark.engine.training import train_on
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams, Variant
from fieldmark.vision.backbones import save_backbone

Make = Callable[..., PmaParams]
ALL = get_args(Variant)


def build(params: Make, task: Task, variant: str, **changes: Any) -> Pma:
    own = Pma.variants(params(variants=[variant], stages=2, **changes))[variant]
    torch.manual_seed(0)
    return Pma.build(own, task)


def batch(task: Task, count: int = 8) -> dict[str, torch.Tensor]:
    train = task.subset("train")
    images = [torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in train.rows[:count]]
    labels = torch.from_numpy(train.labels[:count].copy())
    return {"images": torch.stack(images), "labels": labels, "indices": torch.arange(count)}


FITTING = [name for name in ALL if name != "PMA-5"]  # the tiny map has four blocks


def test_variants_share_the_budget_and_differ_in_parts(params: Make, task: Task) -> None:
    named = Pma.variants(params(variants=ALL))
    assert list(named) == list(ALL)
    assert {own.train.steps for own in named.values()} == {3}
    stages = {name: own.attention.stages if own.attention else 0 for name, own in named.items()}
    assert stages == {
        "plain": 0, "vision": 3, "text": 0, "PMA-1": 1, "PMA-2": 2, "PMA-3": 3, "PMA-4": 4, "PMA-5": 5, "PMA": 3
    }  # fmt: skip


@pytest.mark.parametrize(
    "variant", [name for name in FITTING if name != "PMA-4"]
)  # it has no choice of block
def test_every_weight_gets_a_gradient_and_the_loss_falls(params: Make, task: Task, variant: str) -> None:
    # with three phrases a picture later stages would have none left to learn from
    method = build(params, task, variant, dropout=0.0, backbone_lr=1.0, text_mask_threshold=1.0)
    optimizer = torch.optim.Adam(
        [{"params": group.params} for group in method.parameter_groups(method.params.train)], lr=1e-2
    )
    data, losses = batch(task, 24), []
    for _ in range(8):
        loss = method(data)["loss"]
        optimizer.zero_grad()
        loss.backward()
        if not losses:
            unused = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
            # a bias before a softmax changes nothing; timm's residual branches begin switched off
            assert [
                name for name in unused if not name.endswith("score.bias") and "network.layer" not in name
            ] == []
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_the_loss_is_cross_entropy_on_z(params: Make, task: Task) -> None:
    method = build(params, task, "PMA").eval()
    data = batch(task)
    logits = method.logits(data["images"], method.tokens[data["indices"]])
    losses = method(data)
    assert set(losses) == {"cross_entropy", "loss"}
    torch.testing.assert_close(losses["loss"], cross_entropy(logits, data["labels"]))


def test_stages_may_have_losses_of_their_own(params: Make, task: Task) -> None:
    losses = build(params, task, "PMA", aux_stage_loss=0.5)(batch(task))
    torch.testing.assert_close(losses["loss"], losses["cross_entropy"] + losses["stages"])
    assert "stages" not in build(params, task, "plain", aux_stage_loss=0.5)(batch(task))


def test_the_backbone_learns_at_its_own_rate(params: Make, task: Task) -> None:
    method = build(params, task, "PMA", backbone_lr=0.25)
    groups = method.parameter_groups(method.params.train)
    given = [id(weight) for group in groups for weight in group.params]
    assert sorted(given) == sorted(id(weight) for weight in method.parameters())
    slow = {id(weight) for group in groups if group.lr_scale == 0.25 for weight in group.params}
    assert slow == {id(weight) for weight in method.backbone.parameters()}


@pytest.mark.parametrize("variant", FITTING)
def test_saved_and_loaded_it_says_the_same(params: Make, task: Task, tmp_path: Path, variant: str) -> None:
    method = build(params, task, variant).eval()
    save_model(method, "pma", method.params, tmp_path / "saved")
    again = load_model(tmp_path / "saved")
    assert isinstance(again, Pma)
    data = batch(task)
    tokens = method.tokens[data["indices"]] if method.encoder else None
    assert torch.equal(method.logits(data["images"], tokens), again.logits(data["images"], tokens))
    assert again.class_names == [f"class {number}" for number in range(6)]
    assert again.vocabulary == method.vocabulary
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names == {"weights.safetensors", "classes.json", "model.json"}


def test_a_killed_run_ends_as_an_uninterrupted_one(params: Make, task: Task, monkeypatch) -> None:
    train = {"steps": 20, "batch_size": 4, "lr": 1e-2}
    changes = {"train": train, "captions": 1, "variants": ["PMA"], "stages": 2}

    def run(folder: str) -> Pma:
        own = params(**changes)
        torch.manual_seed(0)
        method = Pma.build(own, task)
        checkpoints = CheckpointFolder(Path(folder), "pma", "key")
        train_on(method, own.images, own.train, task, checkpoints, "t")
        return method

    whole = run("a").state_dict()
    with monkeypatch.context() as patch:
        read, seen = loop.LossMonitor.read, []

        def killed(self, lr):
            if seen:
                raise KeyboardInterrupt
            seen.append(lr)
            return read(self, lr)

        patch.setattr(loop.LossMonitor, "read", killed)
        with pytest.raises(KeyboardInterrupt):
            run("b")
    resumed = run("b").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_all_variants_train_through_the_engine(params: Make, task: Task) -> None:
    own = params(variants=["plain", "vision", "text", "PMA"], stages=2)
    curves = train_variants("pma", own, task, Path("out"), Path("resume"), "key")
    assert list(curves) == ["plain", "vision", "text", "PMA"]


def test_a_map_that_cannot_be_cut_is_refused(params: Make, task: Task) -> None:
    with pytest.raises(UserError, match="4 x 4 cells; it takes even sides and 5 blocks"):
        build(params, task, "PMA-5")
    with pytest.raises(UserError, match="5 x 5 cells"):
        build(params, task, "vision", images={"side": SIDE + 8})
    build(params, task, "plain", images={"side": SIDE + 8})


@pytest.mark.parametrize("variant", ["plain", "vision"])
def test_a_size_that_the_backbone_cannot_take_is_refused(params: Make, task: Task, variant: str) -> None:
    save_backbone(tiny_vit(), task.backbone)
    with pytest.raises(UserError, match="vit_tiny_patch16_224 cannot take pictures of 48 px"):
        build(params, task, variant, images={"side": SIDE + 16})


def test_a_reading_variant_needs_text(params: Make, task: Task) -> None:
    silent = replace(task, text=Path("none"))
    for variant in ("text", "PMA"):
        with pytest.raises(UserError, match=r"set pma\.variants to"):
            build(params, silent, variant)
    build(params, silent, "vision")
    with pytest.raises(UserError, match="load a student or variant vision"):
        build(params, task, "PMA").probabilities(batch(task)["images"])


def test_probabilities_sum_to_one(params: Make, task: Task) -> None:
    found = build(params, task, "vision").eval().probabilities(batch(task)["images"])
    torch.testing.assert_close(found.sum(1), torch.ones(8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": []}, "at least one"),
        ({"variants": ["PMA", "PMA"]}, "each once"),
        ({"stages": 6}, "stages"),
        ({"stage": 3}, "did you mean 'stages'"),
        ({"qrm": "three"}, "qrm"),
        ({"text_mask_threshold": 1.5}, "from 0 to 1"),
        ({"text_mask_threshold": "uniforn"}, "text_mask_threshold"),
        ({"captions": 0}, "at least 1"),
        ({"reduction": {"visio": 4}}, "vision"),
    ],
)
def test_wrong_parameters_are_refused(params: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        params(**changes)
    assert "\n" not in str(caught.value)


def test_defaults_are_those_of_the_ambiguity_table() -> None:
    own = PmaParams.model_validate({"images": {}, "train": {"steps": 1, "lr": 1e-3}})
    assert (own.stages, own.qrm, own.qrm_scale, own.part_proj) == (3, "one", False, "conv1x1")
    assert (own.text_mask_most, own.text_mask_threshold) == (3, "uniform")
    assert (own.reduction.vision, own.reduction.language, own.sam_bias) == (16, 4, True)
    assert (own.share_stage_params, own.stage_activation, own.aux_stage_loss) == (False, False, 0)
    assert (own.word_dim, own.phrase_dim, own.stage_dim, own.dropout) == (300, 512, 512, 0.5)
    assert own.captions == "all"
    assert own.attention is not None
    assert own.attention.mask_threshold is None


def test_a_backbone_at_rate_zero_is_not_changed_by_a_bit(params: Make, task: Task) -> None:
    method = build(params, task, "PMA", backbone_lr=0.0)
    assert method.backbone is not None
    before = {name: value.clone() for name, value in method.backbone.state_dict().items()}
    own = method.params
    train_on(method, own.images, own.train, task, CheckpointFolder(Path("r"), "pma", "k"), "t")
    assert all(torch.equal(before[name], value) for name, value in method.backbone.state_dict().items())
    assert not any(p.requires_grad for p in method.backbone.parameters())
