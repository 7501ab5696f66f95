"""IRT's evaluation: numbers equal the public metrics, claims follow from them, every figure is written."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.retrieved import check_measures
from support.seeds import of_one_seed
from support.tiny import SIDE, VIT, make_task

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.evaluation import retrieval_metrics
from fieldmark.methods.irt.evaluation import evaluate
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.results.figures import FigureFolder, read_figures
from fieldmark.results.schema import Evaluation
from fieldmark.vision.backbones import NetworkParams, create_backbone, save_backbone


def params(**changes: object) -> IrtParams:
    return parse(IrtParams, {"images": {"side": SIDE}, "train": {"steps": 1, "lr": 1e-3}, **changes}, "irt")


def models(task: Task, own: IrtParams) -> dict[str, Irt]:
    built = {}
    for seed, variant in enumerate(Irt.variants(own)):
        built[variant.name] = Irt.build(variant, task)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in built[variant.name].parameters():
                parameter.add_(0.3 * seed * torch.randn_like(parameter))
    return built


@pytest.fixture
def figures(tmp_path: Path) -> FigureFolder:
    folder = tmp_path / "figures"
    folder.mkdir()
    return FigureFolder(folder)


def drawn(figures: FigureFolder) -> dict[str, bytes]:
    """The figures that the report would show, by file in its order."""
    figures.write_index()
    return {figure.entry.file: figure.content for figure in read_figures(figures.folder)}


def values(result: Evaluation, measure: str) -> dict[str, float]:
    return {variant.name: variant.measures[measure].value for variant in result.variants}


def test_numbers_equal_the_public_metrics(tmp_path: Path, figures: FigureFolder) -> None:
    task, own = make_task(tmp_path / "task"), params()
    trained = models(task, own)
    result = evaluate(of_one_seed(trained), own, task, figures)
    assert [variant.name for variant in result.variants] == ["O", "L", "R"]
    check_measures(result, trained, task)
    assert result.counts == {"queries": 18, "skipped": 0, "classes": 3, "training pictures": 18}
    assert list(result.metric_values) == [f"{n}.{m}" for n in "OLR" for m in ("recall@1", "map@r")]


def test_claims_are_paired_differences(tmp_path: Path, figures: FigureFolder) -> None:
    task, own = make_task(tmp_path / "task"), params()
    result = evaluate(of_one_seed(models(task, own)), own, task, figures)
    recall, components = values(result, "recall@1"), values(result, "components_90")
    fine_tuning, koleo, spread = result.claims
    assert fine_tuning.value == pytest.approx(recall["R"] - recall["O"])
    assert koleo.value == pytest.approx(recall["R"] - recall["L"])
    assert spread.value == components["R"] - components["L"]


def test_one_test_class_is_scored_without_the_claim_that_wants_two(
    tmp_path: Path, figures: FigureFolder
) -> None:
    task, own = make_task(tmp_path / "task", classes=2), params()
    claims = evaluate(of_one_seed(models(task, own)), own, task, figures).claims
    assert [claim.claim for claim in claims][-1] == "KoLeo improves retrieval"


def test_only_the_claims_of_the_scored_variants(tmp_path: Path, figures: FigureFolder) -> None:
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    assert evaluate(of_one_seed(models(task, own)), own, task, figures).claims == ()


def test_figures_are_written_and_listed_and_the_same_twice(tmp_path: Path, figures: FigureFolder) -> None:
    task, own = make_task(tmp_path / "task"), params()
    write_curves(task.history, {"L/0": [{"step": 10, "lr": 1.0, "contrastive": 2.0, "loss": 2.0}] * 3})
    trained = models(task, own)
    evaluate(of_one_seed(trained), own, task, figures)
    first = drawn(figures)
    assert list(first) == [
        "recall.svg",
        "energy.svg",
        "similarity.svg",
        "neighbours.svg",
        "neighbours_first.svg",
        "confusions.svg",
        "classes.svg",
        "loss.svg",
    ]
    again = FigureFolder(figures.folder)
    evaluate(of_one_seed(trained), own, task, again)
    assert drawn(again) == first


def test_queries_and_gallery(tmp_path: Path, figures: FigureFolder) -> None:
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    split = task.split.copy()
    tests = split.index[split["role"] == "test"]
    split.loc[tests[::3], "role"] = "query"
    split.loc[np.setdiff1d(tests, tests[::3]), "role"] = "gallery"
    task = task.with_split(split)
    result = evaluate(of_one_seed(models(task, own)), own, task, figures)
    assert result.counts["queries"] == 6
    model = models(task, own)["O"]
    sides = [task.subset(role) for role in ("query", "gallery")]
    vectors = [task.run(model, model.embed, side, own.images, "x") for side in sides]
    expected = retrieval_metrics(
        vectors[0], sides[0].labels, vectors[1], sides[1].labels, ks=task.split_params.ks
    )
    assert values(result, "map")["O"] == pytest.approx(expected["map"])


def test_a_model_of_nan_is_refused_by_name(tmp_path: Path, figures: FigureFolder) -> None:
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    trained = models(task, own)
    with torch.no_grad():
        next(trained["O"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="variant O cannot be scored"):
        evaluate(of_one_seed(trained), own, task, figures)


def test_distilled_backbones_are_scored_by_both_tokens(tmp_path: Path, figures: FigureFolder) -> None:
    arch = NetworkParams(arch="deit_tiny_distilled_patch16_224", options=VIT)
    task, own = make_task(tmp_path / "task"), params(variants=["O"])
    save_backbone(create_backbone(arch, SIDE), task.backbone)
    trained = models(task, own)
    result = evaluate(of_one_seed(trained), own, task, figures)
    assert [variant.name for variant in result.variants] == ["O", "O+dist"]
    assert result.variants[1].title == "frozen backbone, class and distillation token"
    test, descriptor = task.subset("test"), trained["O"].descriptor

    def both(images: torch.Tensor) -> torch.Tensor:
        features = descriptor.backbone(images)
        return (features.cls + features.distilled) / 2

    expected = retrieval_metrics(
        task.run(trained["O"], both, test, own.images, "x"), test.labels, ks=task.split_params.ks
    )
    assert values(result, "map")["O+dist"] == pytest.approx(expected["map"])
    assert descriptor.pooling == "cls"
