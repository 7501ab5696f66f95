"""Training whose length is counted in passes over the training pictures, and becomes steps when they are known."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.pipeline import ROOT
from support.tiny import SIDE, make_task

from fieldmark.base.blocks import parse, read_yaml
from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, train_variants
from fieldmark.engine.params import TrainParams, TrainRecipe
from fieldmark.engine.schedule import learning_rate
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.methods.pma.distillation.params import DistillParams


def recipe(**fields: Any) -> TrainRecipe:
    return parse(TrainRecipe, {"lr": 1e-3, "batch_size": 40, **fields}, "irt.train")


@pytest.mark.parametrize(
    ("count", "steps", "warmup"), [(1760, 264, 44), (870, 130, 22), (40_000, 6000, 1000), (3, 1, 0)]
)
def test_passes_become_steps(count: int, steps: int, warmup: int) -> None:
    found = recipe(passes=6, warmup_passes=1).for_pictures(count)
    assert (found.steps, found.warmup_steps, found.passes, found.warmup_passes) == (steps, warmup, None, None)
    assert found.with_seed(3) == TrainParams(lr=1e-3, batch_size=40, steps=steps, warmup_steps=warmup, seed=3)


@pytest.mark.parametrize(
    ("count", "steps", "drop_every"), [(5864, 91625, 9162), (500, 7812, 781), (1, 16, 2), (0, 1, 1)]
)
def test_drops_in_passes_become_steps(count: int, steps: int, drop_every: int) -> None:
    found = recipe(passes=500, batch_size=32, schedule="drops", drop_passes=50).for_pictures(count)
    assert (found.steps, found.drop_every, found.drop_passes) == (steps, drop_every, None)
    assert parse(TrainRecipe, found.model_dump(), "again") == found
    assert found.with_seed(0).drop_every == drop_every


def test_a_rate_that_falls_by_passes_is_the_one_that_falls_by_their_steps() -> None:
    fields = {"batch_size": 10, "schedule": "drops", "drop": 0.5}
    by_passes = recipe(passes=6, drop_passes=2, **fields).for_pictures(30).with_seed(0)
    by_steps = recipe(steps=18, drop_every=6, **fields).with_seed(0)
    rates = [learning_rate(by_passes, step) for step in range(18)]
    assert rates == [learning_rate(by_steps, step) for step in range(18)]
    assert [rates.index(rate) for rate in dict.fromkeys(rates)] == [0, 6, 12]


def test_null_takes_out_the_one_or_the_other() -> None:
    """A preset or params.yaml has one of them; a setting can take it out, and nothing else can."""
    assert recipe(steps=None, passes=6) == recipe(passes=6)
    assert recipe(steps=3, passes=None, warmup_passes=None, drop_passes=None) == recipe(steps=3)


def test_steps_stay_as_they_are() -> None:
    assert recipe(steps=7, warmup_steps=2).for_pictures(999) == recipe(steps=7, warmup_steps=2)
    untrained = recipe(passes=6).model_copy(update={"steps": 0})
    assert untrained.for_pictures(999) == recipe(steps=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 3, "passes": 2}, "^parameter irt.train: give steps or passes, not both"),
        ({"steps": 3, "warmup_passes": 1}, "^parameter irt.train: warmup_passes go with passes"),
        ({"passes": 3, "warmup_passes": 1, "warmup_steps": 1}, "in place of warmup_steps"),
        ({"steps": 3, "schedule": "drops", "drop_passes": 1}, "drop_passes go with passes"),
        ({"passes": 3, "schedule": "drops", "drop_passes": 1, "drop_every": 1}, "in place of drop_every"),
        ({"passes": 3, "drop_passes": 1}, "drops goes together with drop_every or drop_passes"),
        ({"passes": 3, "schedule": "drops"}, "drops goes together with drop_every or drop_passes"),
        ({"passes": 0}, "irt.train.passes"),
        ({}, "irt.train.steps is missing"),
    ],
)
def test_what_is_no_length_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        recipe(**fields)


def test_only_methods_and_students_count_in_passes() -> None:
    with pytest.raises(UserError, match="only the `train` of a method or of students counts in passes"):
        parse(TrainParams, {"lr": 1e-3, "passes": 2}, "backbones.vit.train")
    students = read_yaml(ROOT / "params.yaml")["distill"]["pma"]
    students["train"] = {**students["train"], "passes": 2, "warmup_passes": 1}
    del students["train"]["steps"], students["train"]["warmup_steps"]
    network = parse(DistillParams, students, "distill.pma").for_pictures(64).network
    assert (network.train.steps, network.train.warmup_steps) == (4, 2)


@pytest.mark.parametrize(
    ("train", "per_shot"), [({"passes": 2}, 6.0), ({"steps": 2}, None)], ids=["passes", "steps"]
)
def test_few_pictures_have_steps_of_their_own_or_the_passes_of_all(
    train: dict[str, float], per_shot: float | None
) -> None:
    block = {"images": {"side": SIDE}, "train": {**train, "lr": 1e-3}, "shots": [5]}
    with pytest.raises(UserError, match=r"shots need steps_per_shot beside train\.steps, and none"):
        parse(FrptParams, {**block, "steps_per_shot": per_shot}, "frpt")


@pytest.mark.parametrize("shots", [2, 4])
def test_few_pictures_make_as_many_passes_as_all(shots: int) -> None:
    train = {"passes": 50, "lr": 1e-3, "batch_size": 6, "schedule": "drops", "drop_passes": 5}
    fields = {"images": {"side": SIDE}, "train": train, "shots": [shots], "variants": ["FRPT"]}
    _, few = Frpt.variants(parse(FrptParams, fields, "frpt"))
    block = few.params.for_pictures(3 * shots)
    assert (block.train.steps, block.train.drop_every) == (50 * shots // 2, 5 * shots // 2)
    assert Frpt.named(block, f"FRPT-{shots}").params == block
    again = parse(FrptParams, block.model_dump(mode="json"), "frpt")
    assert Frpt.named(again, f"FRPT-{shots}").params == block


def test_every_variant_trains_for_the_pictures_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train = {"passes": 2, "warmup_passes": 0.5, "batch_size": 6, "images_per_class": 2, "lr": 1e-3}
    fields = {"images": {"side": SIDE}, "train": train, "memory": {"start_passes": 1}, "variants": ["O", "R"]}
    curves = train_variants(
        "irt", parse(IrtParams, fields, "irt"), make_task(tmp_path / "task"), tmp_path / "out"
    )
    assert {name: curve[-1]["step"] for name, curve in curves.items()} == {"R/0": 6}  # 18 pictures
    said = json.loads((tmp_path / "out/R/0/model.json").read_text())["params"]
    assert (said["train"]["steps"], said["train"]["passes"], said["train"]["warmup_steps"]) == (6, None, 2)
    assert (said["memory"]["start"], said["memory"]["start_passes"]) == (3, None)
    assert load_model(tmp_path / "out/R/0").variant.trained
    assert not load_model(tmp_path / "out/O/0").variant.trained


def test_the_preset_for_own_photographs_suits_their_number() -> None:
    block = parse(IrtParams, read_yaml(ROOT / "presets/irt-photos.yaml")["irt"], "irt")
    few, many = block.for_pictures(870), block.for_pictures(40_000)
    assert (few.train.steps, few.train.warmup_steps, few.memory.start) == (130, 22, 22)
    assert (many.train.steps, many.train.warmup_steps, many.memory.start) == (6000, 1000, 1000)
