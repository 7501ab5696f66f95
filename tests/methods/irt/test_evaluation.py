"""IRT's evaluation: numbers equal the public metrics, claims follow from them, every figure is written."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import SIDE, VIT, make_task

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.evaluation import retrieval_metrics
from fieldmark.methods.irt.evaluation import evaluate
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.runtime.inference import run_over
from fieldmark.vision.backbones import NetworkParams, create_backbone, save_backbone


def params(**changes: object) -> IrtParams:
    return parse(IrtParams, {"images": {"side": SIDE}, "train": {"steps": 1, "lr": 1e-3}, **changes}, "irt")


def models(task: Task, own: IrtParams) -> dict[str, Irt]:
    found = {}
    for seed, (name, one) in enumerate(Irt.variants(own).items()):
        found[name] = Irt.build(one, task)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in found[name].parameters():
                parameter.add_(0.3 * seed * torch.randn_like(parameter))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    return tmp_path / "figures"


def test_numbers_equal_the_public_metrics(tmp_path: Path, folder: Path) -> None:
    task, own = make_task(tmp_path / "task"), params()
    trained = models(task, own)
    result = evaluate(trained, own, task, folder)
    assert list(result["variants"]) == ["O", "L", "R"]
    test = task.subset("test")
    for name, model in trained.items():
        vectors = run_over(model, model.embed, task, test, own.images, name)
        expected = retrieval_metrics(vectors, test.labels, ks=task.ks)
        got = result["variants"][name]
        for measure in ("recall@1", "recall@2", "map@r", "r_precision", "map"):
            assert got[measure]["value"] == pytest.approx(expected[measure])
            assert got[measure]["low"] <= got[measure]["value"] <= got[measure]["high"]
    assert result["counts"] == {"queries": 18, "skipped": 0, "classes": 3, "training pictures": 18}


def test_claims_are_paired_differences(tmp_path: Path, folder: Path) -> None:
    task, own = make_task(tmp_path / "task"), params()
    result = evaluate(models(task, own), own, task, folder)
    recall = {name: one["recall@1"]["value"] for name, one in result["variants"].items()}
    fine_tuning, koleo, spread = result["claims"]
    assert fine_tuning["value"] == pytest.approx(recall["R"] - recall["O"])
    assert koleo["value"] == pytest.approx(recall["R"] - recall["L"])
    components = {name: one["components_90"] for name, one in result["variants"].items()}
    assert spread["value"] == components["R"] - components["L"]
    assert {c["verdict"] for c in result["claims"]} <= {"holds", "does not hold", "undecided"}


def test_one_test_class_is_scored_without_the_claim_that_wants_two(tmp_path: Path, folder: Path) -> None:
    task, own = make_task(tmp_path / "task", classes=2), params()
    claims = evaluate(models(task, own), own, task, folder)["claims"]
    assert [claim["claim"] for claim in claims][-1] == "KoLeo improves retrieval"


def test_only_the_claims_of_the_scored_variants(tmp_path: Path, folder: Path) -> None:
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    assert evaluate(models(task, own), own, task, folder)["claims"] == []


def test_figures_are_written_and_listed_and_the_same_twice(tmp_path: Path, folder: Path) -> None:
    task, own = make_task(tmp_path / "task"), params()
    write_curves(task.history, {"L": [{"step": 10, "lr": 1.0, "contrastive": 2.0, "loss": 2.0}] * 3})
    trained = models(task, own)
    evaluate(trained, own, task, folder)
    listed = [entry["file"] for entry in json.loads((folder / "figures.json").read_text())]
    assert {"recall.svg", "energy.svg", "similarity.svg", "neighbours.svg", "classes.svg", "loss.svg"} <= set(
        listed
    )
    first = {name: (folder / name).read_bytes() for name in listed}
    evaluate(trained, own, task, folder)
    assert first == {name: (folder / name).read_bytes() for name in listed}


def test_queries_and_gallery(tmp_path: Path, folder: Path) -> None:
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    split = task.split.copy()
    tests = split.index[split["role"] == "test"]
    split.loc[tests[::3], "role"] = "query"
    split.loc[np.setdiff1d(tests, tests[::3]), "role"] = "gallery"
    task = dataclasses.replace(task, split=split)
    result = evaluate(models(task, own), own, task, folder)
    assert result["counts"]["queries"] == 6
    model = models(task, own)["O"]
    sides = [task.subset(role) for role in ("query", "gallery")]
    vectors = [run_over(model, model.embed, task, side, own.images, "x") for side in sides]
    expected = retrieval_metrics(vectors[0], sides[0].labels, vectors[1], sides[1].labels, ks=task.ks)
    assert result["variants"]["O"]["map"]["value"] == pytest.approx(expected["map"])


def test_a_model_of_nan_is_refused_by_name(tmp_path: Path, folder: Path) -> None:
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    trained = models(task, own)
    with torch.no_grad():
        next(trained["O"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="variant O cannot be scored"):
        evaluate(trained, own, task, folder)


def test_distilled_backbones_are_scored_by_both_tokens(tmp_path: Path, folder: Path) -> None:
    arch = NetworkParams(arch="deit_tiny_distilled_patch16_224", options=VIT)
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    save_backbone(create_backbone(arch, SIDE), task.backbone)
    trained = models(task, own)
    result = evaluate(trained, own, task, folder)
    assert list(result["variants"]) == ["O", "O+dist"]
    assert result["variant_titles"]["O+dist"] == "frozen backbone, class and distillation token"
    test, descriptor = task.subset("test"), trained["O"].descriptor

    def both(images: torch.Tensor) -> torch.Tensor:
        features = descriptor.backbone(images)
        return (features.cls + features.distilled) / 2

    expected = retrieval_metrics(
        run_over(trained["O"], both, task, test, own.images, "x"), test.labels, ks=task.ks
    )
    assert result["variants"]["O+dist"]["map"]["value"] == pytest.approx(expected["map"])
    assert descriptor.pooling == "cls"
