"""PMA as a whole: variants, losses, saving and loading."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from support.tiny import SIDE, tiny_vit
from torch.nn.functional import cross_entropy

from fieldmark.base.blocks import read_yaml
from fieldmark.base.errors import UserError
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.method import Classifies
from fieldmark.contract.variants import load_model, save_model
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.engine.training import train_on
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.methods.pma.model.variants import (
    ABLATIONS,
    TABLE,
    AblatedName,
    Parts,
    StudentName,
    TrainedName,
)
from fieldmark.preflight.check import check_params
from fieldmark.vision.backbones import save_backbone

Make = Callable[..., PmaParams]
TRAINED, STUDENTS = get_args(TrainedName), get_args(StudentName)
ABLATED = get_args(AblatedName)
FITTING = [name for name in TABLE if name != "PMA-5"]  # the tiny map has four blocks


def build(params: Make, task: Task, name: str, **changes: Any) -> Pma:
    teacher = {"teacher": "PMA"} if name in STUDENTS else {}
    block = params(variants=[name], stages=2, **teacher, **changes)
    torch.manual_seed(0)
    return Pma.build(Pma.named(block, name), task)


def batch(task: Task, count: int = 8) -> dict[str, torch.Tensor]:
    train = task.subset("train")
    images = [torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in train.rows[:count]]
    labels = torch.from_numpy(train.labels[:count].copy())
    return {"images": torch.stack(images), "labels": labels, "indices": torch.arange(count)}


def test_variants_share_the_budget_and_differ_in_parts(params: Make) -> None:
    variants = Pma.variants(params(variants=TRAINED))
    assert [variant.name for variant in variants] == list(TRAINED)
    assert {variant.params.train.steps for variant in variants} == {3}
    parts = {v.name: (v.parts.image, v.parts.language, v.parts.stages) for v in variants}
    assert parts == {
        "plain": (True, False, 0),
        "vision": (True, False, 3),
        "text": (False, True, 0),
        **{f"PMA-{stages}": (True, True, stages) for stages in (1, 2, 3, 4, 5)},
        "PMA": (True, True, 3),
        "vision-no-mask": (True, False, 3),
        **{name: (True, True, 3) for name in ABLATED if name.startswith("PMA-")},
    }
    without = {v.name: v.parts.without for v in variants if v.parts.without}
    assert set(without) == set(ABLATED)
    assert set(without.values()) == set(ABLATIONS)


def test_every_variant_says_what_it_is(params: Make) -> None:
    titles = {v.name: v.title for v in Pma.variants(params(variants=TRAINED, stages=2))}
    assert titles["plain"] == "backbone alone"
    assert titles["vision"] == "attention on the picture alone, 2 stages"
    assert (titles["PMA-1"], titles["PMA"]) == (
        "picture and phrases, 1 stage",
        "picture and phrases, 2 stages",
    )
    taught = Pma.named(params(variants=["student"], teacher="PMA-3"), "student")
    assert taught.title == "picture alone, taught by PMA-3"


def test_the_table_knows_every_name_and_no_other() -> None:
    assert set(TABLE) == {*TRAINED, *STUDENTS}


@pytest.mark.parametrize("changes", [{"variants": TRAINED}, {"variants": STUDENTS, "teacher": "vision"}])
def test_the_block_of_a_variant_asks_for_it_again(params: Make, changes: dict[str, Any]) -> None:
    for variant in Pma.variants(params(**changes)):
        assert Pma.named(variant.params, variant.name) == variant


@pytest.mark.parametrize(
    "changes",
    [{"variants": ["student"]}, {"variants": ["plain", "twin"]}, {"teacher": "PMA"}],
)
def test_students_are_no_business_of_this_block(params: Make, changes: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"parameter pma: .* distill\.pma alone; take them out of pma"
    ) as caught:
        params(**changes)
    assert "\n" not in str(caught.value)


def test_nor_are_they_with_their_teacher() -> None:
    content = read_yaml(Path(__file__).parents[3] / "params.yaml")
    content |= {"methods": {"pma": content["methods"]["pma"]}, "distill": {}}
    check_params(Configuration(content))
    content["pma"] |= {"variants": ["student"], "teacher": "PMA"}
    with pytest.raises(UserError, match=r"distill\.pma alone; take them out of pma"):
        check_params(Configuration(content))


# PMA-4 has no choice of block.
@pytest.mark.parametrize("variant", [name for name in FITTING if name != "PMA-4"])
def test_every_weight_gets_a_gradient_and_the_loss_falls(params: Make, task: Task, variant: str) -> None:
    # With three phrases a picture later stages would have none left to learn from.
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
            # A bias before a softmax changes nothing; timm's residual branches begin switched off.
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


@pytest.mark.parametrize("variant", ["PMA", "student"])
def test_saved_and_loaded_it_says_the_same(params: Make, task: Task, tmp_path: Path, variant: str) -> None:
    method = build(params, task, variant).eval()
    save_model(method, tmp_path / "saved")
    again = load_model(tmp_path / "saved")
    assert isinstance(again, Pma)
    assert isinstance(again, Classifies)
    assert again.variant == method.variant
    data = batch(task)
    tokens = method.tokens[data["indices"]] if method.encoder else None
    assert torch.equal(method.logits(data["images"], tokens), again.logits(data["images"], tokens))
    assert again.class_names == [f"class {number}" for number in range(6)]
    assert again.vocabulary == method.vocabulary
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names == {"weights.safetensors", "model.json"}


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
    probabilities = build(params, task, "vision").eval().probabilities(batch(task)["images"])
    torch.testing.assert_close(probabilities.sum(1), torch.ones(8))


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
    block = PmaParams.model_validate({"images": {}, "train": {"steps": 1, "lr": 1e-3}})
    assert (block.stages, block.qrm, block.qrm_scale, block.part_proj) == (3, "one", False, "conv1x1")
    assert (block.text_mask_max, block.text_mask_threshold) == (3, "uniform")
    assert (block.reduction.vision, block.reduction.language, block.sam_bias) == (16, 4, True)
    assert (block.share_stage_params, block.stage_activation, block.aux_stage_loss) == (False, False, 0)
    assert (block.word_dim, block.phrase_dim, block.stage_dim, block.dropout) == (300, 512, 512, 0.5)
    assert block.captions == "all"
    assert block.attention(Parts(True, True, 3)).mask_threshold is None


def test_a_backbone_at_rate_zero_is_not_changed_by_a_bit(params: Make, task: Task) -> None:
    method = build(params, task, "PMA", backbone_lr=0.0)
    assert method.backbone is not None
    before = {name: value.clone() for name, value in method.backbone.state_dict().items()}
    train_on(method, method.params.images, method.params.seeded, task, "pma/PMA")
    assert all(torch.equal(before[name], value) for name, value in method.backbone.state_dict().items())
    assert not any(p.requires_grad for p in method.backbone.parameters())


def test_variant_text_trains_without_pictures_as_it_does_with_them(
    params: Make, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(place: str) -> Pma:
        method = build(params, task, "text")
        elsewhere = replace(task, states=StateKey(Path(place)))
        train_on(method, method.params.images, method.params.seeded, elsewhere, "pma/text")
        return method

    def unread(store: ImageStore, row: int) -> None:
        raise AssertionError(f"picture {row} was read")

    with monkeypatch.context() as patch:
        patch.setattr(Pma, "sees_pictures", True)
        seeing = trained("seeing").state_dict()
    monkeypatch.setattr(ImageStore, "__getitem__", unread)
    blind = trained("blind").state_dict()
    assert all(torch.equal(value, seeing[name]) for name, value in blind.items())
    with pytest.raises(AssertionError, match="was read"):
        learning = build(params, task, "plain", backbone_lr=1.0)
        train_on(learning, learning.params.images, learning.params.seeded, task, "pma/plain")
