"""Arms: variants with other values and from another backbone, trained and read by the arm's name."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny import SIDE, make_task, tiny_resnet
from support.wired import CONFIGURATION, tiny, wired_task

from fieldmark import load
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import load_evaluation, load_method
from fieldmark.contract.variants import load_arms, read_arm, train_variant
from fieldmark.engine.wiring import read_wiring
from fieldmark.results.figures import FigureFolder
from fieldmark.vision.backbones import save_backbone

WIRING = {"dataset": "birds", "split": "retrieval", "backbone": "backbones/vit", "text": "none"}
OTHER = {**WIRING, "backbone": "backbones/resnet"}


def configured(**arms: Any) -> Configuration:
    train = {"steps": 2, "batch_size": 6, "images_per_class": 2, "lr": 1e-3}
    block = {"variants": ["O", "R"], "seeds": [3, 4], "images": {"side": SIDE}, "train": train}
    return Configuration({"methods": {"irt": WIRING}, "irt": block, "arms": arms})


def arm(variant: str, wiring: Any = WIRING, **change: Any) -> dict[str, Any]:
    return {"method": "irt", "variant": variant, **wiring, "change": change}


def test_an_arm_has_the_blocks_values_but_what_it_changes() -> None:
    configuration = configured(a=arm("R", margin=0.3, train={"lr": 0.5}, memory={"start": 7}))
    params = read_arm(configuration, "a").variant.params
    assert (params.margin, params.train.lr, params.memory.start) == (0.3, 0.5, 7)
    assert (params.lambda_, params.train.steps, params.memory.fraction, params.seeds) == (0.7, 2, 1.0, (3, 4))


def test_an_arm_may_be_of_a_variant_that_the_method_does_not_train() -> None:
    made = read_arm(configured(a=arm("L", pooling="gem")), "a").variant
    assert (made.name, made.params.lambda_, made.params.pooling) == ("L", 0.0, "gem")


def test_arms_are_trained_from_their_backbone_and_read_in_their_order(tmp_path: Path) -> None:
    configuration = configured(second=arm("L", OTHER, pooling="average"), first=arm("O", dim=5))
    task = make_task(tmp_path / "task")
    save_backbone(tiny_resnet(), tmp_path / "resnet")
    for name, backbone in (("second", tmp_path / "resnet"), ("first", task.backbone)):
        made = read_arm(configuration, name)
        own = dataclasses.replace(task, backbone=backbone)
        curves = train_variant("irt", made.variant, own, tmp_path / "arms" / name, f"arms/{name}")
        assert list(curves) == (["3", "4"] if name == "second" else [])
    loaded = load_arms(configuration, "irt", tmp_path / "arms")
    assert {name: len(models) for name, models in loaded.items()} == {"second": 2, "first": 1}
    second, first = loaded["second"][0].variant, loaded["first"][0].variant
    assert (second.name, second.start) == ("second", "backbones/resnet")
    assert second.title == "contrastive; from backbones/resnet; pooling average"
    assert (first.name, first.start, first.title) == ("first", "", "frozen backbone; dim 5")
    assert loaded["second"][1].params.seeds == (4,)
    assert load_arms(configuration, "frpt", tmp_path / "arms") == {}
    assert load(tmp_path / "arms/second/3").embed([np.zeros((40, 40, 3), np.uint8)]).shape == (1, 16)


def test_a_title_of_ones_own_is_taken(tmp_path: Path) -> None:
    configuration = configured(a={**arm("O"), "title": "as it comes"})
    task = make_task(tmp_path / "task")
    train_variant("irt", read_arm(configuration, "a").variant, task, tmp_path / "arms/a", "arms/a")
    [model] = load_arms(configuration, "irt", tmp_path / "arms")["a"]
    assert model.variant.title == "as it comes"
    with pytest.raises(KeyError):
        load_arms(configuration, "irt", tmp_path / "arms")["b"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["frpt", "cprfl"])
def test_an_arm_is_judged_beside_the_variants_of_any_method(tmp_path: Path, name: str) -> None:
    """IRT's arms have tests of their own."""
    task, own, method = (
        wired_task(tmp_path / "task", read_wiring(CONFIGURATION, name)),
        tiny(name),
        load_method(name),
    )
    variants = list(method.variants(own))
    arm = dataclasses.replace(variants[-1], name="arm", title="an arm", start="backbones/other")
    models = {}
    for variant in (*variants, arm):
        model = method.build(variant, method.training_task(variant, task))
        model.finish(task)
        models[variant.name] = [model.eval()]
    (tmp_path / "figures").mkdir()
    result = load_evaluation(name)(models, own, task, FigureFolder(tmp_path / "figures"))
    assert (result.variants[-1].name, result.variants[-1].title) == ("arm", "an arm")
