"""FRPT from several backbones in one table (Table 3): pairs that are alike, their claims, and pictures of none."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.tiny import tiny_resnet, tiny_vit

from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.variants import load_arms, load_variants, read_arm, train_variant, train_variants
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.evaluation import evaluate
from fieldmark.methods.frpt.evaluation.claims import LARGER
from fieldmark.methods.frpt.evaluation.pairs import Pair, pairs
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.results.figures import FigureFolder
from fieldmark.vision.backbones import save_backbone

Make = Callable[..., FrptParams]
WIRING = {"dataset": "birds", "split": "retrieval", "backbone": "backbones/resnet", "text": "none"}


def arm(variant: str, **changes: Any) -> dict[str, Any]:
    return {"method": "frpt", "variant": variant, **WIRING, **changes}


def built(own: FrptParams, task: Task, **renamed: Any) -> dict[str, list[Frpt]]:
    found = {variant.name: [Frpt.build(variant, task)] for variant in Frpt.variants(own)}
    return {renamed.get(name, name): models for name, models in found.items()}


def test_pairs_are_alike_in_everything_else(params: Make, task: Task) -> None:
    own = params(variants=["frozen", "finetune", "CAH", "attention", "FRPT"], shots=[2], steps_per_shot=1)
    models = built(own, task)
    usual = [Pair("FRPT", "finetune", "resnet10t", None), Pair("FRPT-2", "finetune-2", "resnet10t", 2)]
    assert list(pairs(models)) == usual
    models |= built(params(variants=["FRPT"], pooling="gem"), task, FRPT="ours")
    assert list(pairs(models)) == usual  # nothing was fine-tuned with that pooling
    models |= built(params(variants=["finetune"], pooling="gem"), task, finetune="theirs")
    assert list(pairs(models)) == [*usual, Pair("ours", "theirs", "resnet10t", None)]
    for by_seed in models["theirs"]:
        by_seed.variant = replace(by_seed.variant, start="backbones/other")
    assert list(pairs(models)) == usual


def test_two_backbones_stand_in_one_table(
    params: Make, task: Task, tmp_path: Path, figures: FigureFolder
) -> None:
    """From training to claims, as the stages do it."""
    save_backbone(tiny_resnet(), tmp_path / "resnet")
    save_backbone(tiny_vit(), tmp_path / "vit")
    own = params(variants=["finetune", "FRPT"], snapshots=1)
    other = {"backbone": "backbones/vit"}
    arms = {"finetune-vit": arm("finetune", **other), "FRPT-vit": arm("FRPT", **other)}
    block = own.model_dump(mode="json", by_alias=True)
    configuration = Configuration({"methods": {"frpt": WIRING}, "frpt": block, "arms": arms})
    train_variants("frpt", own, task, tmp_path / "variants")
    for name in arms:
        made, place = read_arm(configuration, name).variant, tmp_path / "arms" / name
        train_variant("frpt", made, replace(task, backbone=tmp_path / "vit"), place, f"arms/{name}")
    models = load_variants("frpt", own, tmp_path / "variants")
    models |= load_arms(configuration, "frpt", tmp_path / "arms")
    result = evaluate(models, own, task, figures)
    assert [(row.name, row.backbone) for row in result.variants] == [
        *(("finetune", ""), ("FRPT", "")),
        *(("finetune-vit", "backbones/vit"), ("FRPT-vit", "backbones/vit")),
    ]
    claims = {claim.claim: claim for claim in result.claims}
    added = claims["FRPT beats full fine-tuning, FRPT-vit and finetune-vit"]
    assert added.decides == "recall@1 of FRPT-vit minus finetune-vit"
    assert added.paper == "ResNet-50 and ResNet-101 only (Tables 3 and 4)"
    assert "FRPT converges faster than full fine-tuning" in claims
    assert "FRPT converges faster than full fine-tuning, FRPT-vit and finetune-vit" in claims
    figures.write_index()
    steps = (figures.folder / "steps.svg").read_text()
    assert "finetune-vit" in steps
    warps = (figures.folder / "figures.json").read_text()
    assert "What the prompt shows the backbone, FRPT" in warps
    assert "the backbone, FRPT-vit" not in warps


def test_the_papers_numbers_of_the_second_backbone_stand_beside_its_claims() -> None:
    assert LARGER["resnet101"][None].startswith("CUB 70.9 to 75.6, Cars 85.1 to 90.4, Aircraft 69.7 to 76.2")
    assert set(LARGER["resnet101"]) == {None, 10, 5}
