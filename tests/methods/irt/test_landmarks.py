"""IRT on a benchmark of landmarks: its rows, claims and figures."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.landmarks import benchmark_task
from support.seeds import of_one_seed
from support.tiny import SIDE, VIT

from fieldmark.base.blocks import parse
from fieldmark.engine.task import Task
from fieldmark.methods.irt.evaluation import evaluate
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.protocols.landmarks import measured, rank
from fieldmark.results.figures import FigureFolder, read_figures
from fieldmark.vision.backbones import NetworkParams, create_backbone, save_backbone


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return benchmark_task(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture
def figures(tmp_path: Path) -> FigureFolder:
    (tmp_path / "figures").mkdir()
    return FigureFolder(tmp_path / "figures")


def params(**changes: object) -> IrtParams:
    fields = {"images": {"side": SIDE}, "memory": {"fraction": 0.0}, **changes}
    return parse(IrtParams, {"train": {"steps": 1, "lr": 1e-3}, **fields}, "irt")


def models(task: Task, own: IrtParams) -> dict[str, Irt]:
    """Variants that differ, as if they had been trained."""
    built = {}
    for seed, variant in enumerate(Irt.variants(own)):
        built[variant.name] = Irt.build(variant, task).eval()
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in built[variant.name].parameters():
                parameter.add_(0.3 * seed * torch.randn_like(parameter))
    return built


def test_rows_claims_counts_and_figures(task: Task, figures: FigureFolder) -> None:
    own = params()
    trained = models(task, own)
    result = evaluate(of_one_seed(trained), own, task, figures)
    assert [variant.name for variant in result.variants] == ["O", "L", "R"]
    assert result.headline == ("map_medium", "map_hard", "mp@10_medium", "mp@10_hard")
    assert result.metrics == ("map_medium", "map_hard")
    values = {variant.name: variant.measures for variant in result.variants}
    for name, model in trained.items():
        expected = measured(rank(name, [model], own.images, task), model.trained_weights)
        assert {key: measure.value for key, measure in values[name].items() if key != "trained_weights"} == {
            key: measure.value for key, measure in expected.items() if key != "trained_weights"
        }
    assert [claim.decides for claim in result.claims] == [
        f"map_{level} of R minus {other}" for other in "OL" for level in ("medium", "hard")
    ]
    for claim in result.claims:
        measure, _, first, _, second = claim.decides.split()
        assert claim.value == pytest.approx(values[first][measure].value - values[second][measure].value)
    assert result.counts["queries"] == 3
    assert "Intervals resample queries" in result.notes[0]
    figures.write_index()
    drawn = {figure.entry.file: figure.content for figure in read_figures(figures.folder)}
    assert list(drawn) == ["map.svg", "similarity.svg", "neighbours.svg"]
    again = FigureFolder(figures.folder)
    evaluate(of_one_seed(trained), own, task, again)
    again.write_index()
    assert {figure.entry.file: figure.content for figure in read_figures(figures.folder)} == drawn


def test_a_frozen_backbone_alone_makes_no_claim(task: Task, figures: FigureFolder) -> None:
    own = params(variants=["O"])
    result = evaluate(of_one_seed(models(task, own)), own, task, figures)
    assert result.claims == ()


def test_both_tokens_of_a_distilled_backbone(
    task: Task, figures: FigureFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arch = NetworkParams(arch="deit_tiny_distilled_patch16_224", options=VIT)
    backbone = create_backbone(arch, SIDE)
    save_backbone(backbone, tmp_path / "distilled")
    own = params(variants=["O"])
    monkeypatch.setattr(type(task), "load_backbone", lambda _: backbone)
    trained = models(task, own)
    result = evaluate(of_one_seed(trained), own, task, figures)
    assert [variant.name for variant in result.variants] == ["O", "O+dist"]
    assert result.variants[1].title == "frozen backbone, class and distillation token"
    assert trained["O"].descriptor.pooling == "cls"


def test_an_arm_is_scored_on_pictures_cut_as_its_own_block_says(task: Task, figures: FigureFolder) -> None:
    own, closer = (params(variants=["O"], images={"side": SIDE, "resize": edge}) for edge in (SIDE, 2 * SIDE))
    [model], [arm] = models(task, own).values(), models(task, closer).values()
    arm.variant = replace(arm.variant, name="closer", title="a closer look", start="backbones/other")
    result = evaluate({"O": [model], "closer": [arm]}, own, task, figures)
    assert [(row.name, row.backbone) for row in result.variants] == [("O", ""), ("closer", "backbones/other")]
    for row, scored, block in zip(result.variants, (model, arm), (own, closer), strict=True):
        expected = measured(rank(row.name, [scored], block.images, task), 0)
        assert row.measures["map_medium"].value == expected["map_medium"].value
    shown = rank("closer", [arm], own.images, task)[0].similarity
    assert (shown != rank("closer", [arm], closer.images, task)[0].similarity).any()
