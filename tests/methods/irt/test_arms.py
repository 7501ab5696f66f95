"""Arms beside O, L and R: what tells two models apart, the claims and figures that need them."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from support.seeds import of_one_seed
from support.tiny import SIDE, VIT, make_task, tiny_resnet

from fieldmark.contract.method import Variant
from fieldmark.engine.task import Task
from fieldmark.methods.irt.evaluation import evaluate
from fieldmark.methods.irt.evaluation.settings import Setting, groups, spectra
from fieldmark.methods.irt.model.method import Irt
from fieldmark.results.figures import FigureFolder, read_figures
from fieldmark.results.schema import Evaluation
from fieldmark.vision.backbones import NetworkParams, create_backbone, save_backbone

from .test_evaluation import models, params

VARIANTS = {"variants": ["L", "R"]}


def arm(task: Task, name: str, variant: str, start: str = "", **changes: Any) -> Irt:
    """Return an arm as the evaluation gets it: named after itself, from the backbone in the folder `start`."""
    made = Irt.named(params(**{**VARIANTS, **changes}), variant)
    own = dataclasses.replace(task, backbone=task.backbone.parent / start) if start else task
    model = Irt.build(made, own)
    torch.manual_seed(len(name))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.variant = Variant(name, name, made.params, None, start=start)
    return model


@pytest.fixture
def claims_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures that have nothing to do with arms: to draw them takes seconds."""
    monkeypatch.setattr("fieldmark.methods.irt.evaluation.scores.draw_figures", lambda *arguments: None)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    made = make_task(tmp_path / "task")
    save_backbone(tiny_resnet(), made.backbone.parent / "resnet")
    arch = NetworkParams(arch="deit_tiny_distilled_patch16_224", options=VIT)
    save_backbone(create_backbone(arch, SIDE), made.backbone.parent / "distilled")
    return made


def judged(task: Task, tmp_path: Path, *arms: Irt, **changes: Any) -> tuple[Evaluation, list[str]]:
    own = params(**{**VARIANTS, **changes})
    folder = tmp_path / "figures"
    folder.mkdir()
    figures = FigureFolder(folder)
    together = models(task, own) | {one.variant.name: one for one in arms}
    result = evaluate(of_one_seed(together), own, task, figures)
    figures.write_index()
    return result, [figure.entry.file for figure in read_figures(folder)]


def decided(result: Evaluation) -> dict[str, str]:
    return {claim.decides: claim.claim for claim in result.claims[2:]}  # after those of L and R


def values(result: Evaluation, measure: str) -> dict[str, float]:
    return {variant.name: variant.measures[measure].value for variant in result.variants}


@pytest.mark.usefixtures("claims_alone")
def test_without_arms_there_are_no_claims_about_them(task: Task, tmp_path: Path) -> None:
    result, files = judged(task, tmp_path)
    assert len(result.claims) == 2
    assert not {"margin.svg", "gradients.svg"} & set(files)
    assert "dimensions" not in result.variants[0].measures


@pytest.mark.usefixtures("claims_alone")
def test_pooling_losses_and_lengths(task: Task, tmp_path: Path) -> None:
    result, _ = judged(
        task,
        tmp_path,
        arm(task, "mean", "L", pooling="average"),
        arm(task, "gem", "R", pooling="gem"),
        arm(task, "both", "R", pooling="max", margin=0.3),  # two things differ
        arm(task, "nsoftmax", "L", loss="nsoftmax", temperature=0.1),
        arm(task, "snca", "L", loss="snca"),
        arm(task, "short", "R", dim=5),
    )
    assert decided(result) == {
        "recall@1 of L minus mean": "The class token is better than average pooling",
        "recall@1 of R minus gem": "The class token is better than gem pooling",
        "recall@1 of L minus nsoftmax": "The contrastive loss with a memory beats NSoftmax",
        "recall@1 of L minus snca": "The contrastive loss with a memory beats SNCA",
    }
    recall = values(result, "recall@1")
    assert result.claims[2].value == pytest.approx(recall["L"] - recall["mean"])
    assert result.headline[-1] == "dimensions"
    assert values(result, "dimensions") == {
        **dict.fromkeys(("L", "R", "mean", "gem", "both", "nsoftmax", "snca"), 16),
        "short": 5,
    }


@pytest.mark.usefixtures("claims_alone")
def test_backbones(task: Task, tmp_path: Path) -> None:
    result, _ = judged(
        task,
        tmp_path,
        arm(task, "other-start", "L", "distilled", margin=0.2),  # more than the backbone differs
        arm(task, "conv", "L", "resnet", pooling="gem"),
        arm(task, "taught", "R", "distilled"),
    )
    distilled = "A transformer that was distilled from a convolutional network is the better start"
    assert decided(result) == {
        "recall@1 of L minus conv": "A transformer beats a convolutional network under the same loss",
        "components for 90 % of the energy, L minus conv": "Transformers collapse less than convolutional networks",
        "recall@1 of taught minus R": distilled,
    }
    components = values(result, "components_90")
    assert result.claims[3].value == components["L"] - components["conv"]
    starts = {variant.name: variant.backbone for variant in result.variants}
    assert starts["conv"] == "resnet"
    assert starts["L"] == ""
    assert [name for name in starts if name.endswith("+dist")] == ["other-start+dist", "taught+dist"]


@pytest.mark.usefixtures("claims_alone")
def test_margins_and_the_spread_of_gradients(task: Task, tmp_path: Path) -> None:
    arms = []
    for margin, spread in ((0.1, 3e-4), (0.9, 5e-4)):
        one = arm(task, f"R-{margin}", "R", margin=margin, gradients=True)
        one.gradient_spread = spread
        arms.append(one)
    low = [
        arm(task, f"L-{margin}", "L", margin=margin) for margin in (0.3, 0.8)
    ]  # of another lambda than the paper's
    result, files = judged(task, tmp_path, *low, *arms, gradients=True)
    assert decided(result) == {
        "recall@1 of R minus R-0.1": "A margin of 0.5 is better than one that is too small, 0.1",
        "recall@1 of R minus R-0.9": "A margin of 0.5 is better than one that is too large, 0.9",
    }
    assert files[-2:] == ["margin.svg", "gradients.svg"]
    spreads = [
        row.measures["gradient_spread"].value for row in result.variants if row.name in ("R-0.1", "R-0.9")
    ]
    assert spreads == [3e-4, 5e-4]
    recall = values(result, "recall@1")
    best = max(("R-0.1", "R", "R-0.9"), key=lambda name: recall[name])
    margin = {"R-0.1": "0.1", "R": "0.5", "R-0.9": "0.9"}[best]
    assert len([note for note in result.notes if ", lambda " in note]) == 2
    # The gradients of R itself were not measured.
    assert f"vit_tiny_patch16_224, lambda 0.7: recall@1 is highest at a margin of {margin}." in result.notes


def test_many_arms_leave_the_crowded_figures_to_the_variants(task: Task, tmp_path: Path) -> None:
    few = [arm(task, f"a{number}", "R", margin=number / 20) for number in range(14)]
    settings = [Setting.of(one.variant.name, one) for one in few]
    assert spectra(settings) == ["a0"]
    assert spectra(settings[:3]) == ["a0", "a1", "a2"]
    [line] = groups(settings, "margin")
    assert [setting.name for setting in line] == [f"a{number}" for number in range(14)]
    result, files = judged(task, tmp_path, *few)
    assert len(result.variants) == 16
    assert files[0] == "recall.svg"
    assert "a3" not in (tmp_path / "figures/recall.svg").read_text()
