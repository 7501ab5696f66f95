"""Prompts over the steps of a training: which copies are kept, and what is said of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.seeds import of_one_seed

from fieldmark.contract.variants import load_variants, train_variants
from fieldmark.engine.task import Task
from fieldmark.methods.cprfl.evaluation import evaluate
from fieldmark.methods.cprfl.evaluation.refinement import Course, read_course, refined, without_average
from fieldmark.methods.cprfl.evaluation.scores import score_model
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.protocols.multilabel import read_truth
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.results.figures import FigureFolder, read_figures

Make = Callable[..., CprflParams]
NAMES = ["crow", "finch", "heron", "wren"]
TRAIN = {"steps": 9, "batch_size": 6, "lr": 1e-2, "ema": 0.5}


def trained(task: Task, block: CprflParams) -> dict[str, Cprfl]:
    train_variants("cprfl", block, task, Path("models"))
    return {name: model for name, [model] in load_variants("cprfl", block, Path("models")).items()}


@pytest.fixture
def block(params: Make) -> CprflParams:
    return params(variants=["ASL", "linear-PI", "CPRFL"], snapshots=2, train=TRAIN, backbone_lr=0.0)


def course_of(model: Cprfl, task: Task) -> Course:
    scored = score_model("CPRFL", model, read_truth(task, NAMES), SharedFeatures(task))
    return read_course(model, scored, task)


def test_copies_are_kept_of_cprfl_alone_and_are_those_of_their_steps(task: Task, block: CprflParams) -> None:
    models = trained(task, block)
    assert {name: [path.name for path in model.earlier] for name, model in models.items()} == {
        "ASL": [],
        "linear-PI": [],
        "CPRFL": ["000003", "000006", "000009"],  # after the last step, before its weights are averaged
    }
    course = course_of(models["CPRFL"], task)
    assert course.steps == [3, 6, 9, 9]
    [first, second, last, averaged] = [model.head.state_dict() for model in course.models]
    for one, other in ((first, second), (second, last), (last, averaged)):
        assert not torch.equal(one["prompt_network.0.weight"], other["prompt_network.0.weight"])
    assert torch.equal(first["vectors"], last["vectors"])
    subset = task.subset("test")
    for model, scored in zip(course.models, course.scored, strict=True):
        logits = task.run(model, model.logits, subset, model.params.images, "again")
        np.testing.assert_allclose(scored.ranks, logits.numpy(), rtol=1e-4, atol=1e-5)


def test_without_snapshots_nothing_is_kept(task: Task, params: Make) -> None:
    models = trained(task, params(variants=["CPRFL"], train=TRAIN))
    assert models["CPRFL"].earlier == []
    assert models["CPRFL"].snapshot_steps == ()


def test_without_an_average_the_last_weights_are_the_models_own(task: Task, params: Make) -> None:
    plain = params(variants=["CPRFL"], snapshots=1, train={**TRAIN, "ema": None})
    model = trained(task, plain)["CPRFL"]
    course = course_of(model, task)
    assert course.steps == [4, 9]
    assert without_average(course) == []


def test_cosines_are_those_of_a_loop(task: Task, block: CprflParams) -> None:
    course = course_of(trained(task, block)["CPRFL"], task)
    counts = course.scored[-1].truth.groups
    panels = refined(course)
    ends, pairs = panels["A prompt and what it becomes"], panels["Prompts of two categories"]["all"]
    tables = []
    for model in course.models:
        assert isinstance(model.head, PromptHead)
        tables.append(model.head.prompts().detach().double())
    cosine = torch.nn.functional.cosine_similarity
    for number, table in enumerate(tables):
        of_pairs = [float(cosine(table[a], table[b], dim=0)) for a in range(4) for b in range(4) if a != b]
        assert pairs[number] == pytest.approx(np.mean(of_pairs))
        for name, mask in counts.items():
            to_end = [float(cosine(table[c], tables[-1][c], dim=0)) for c in np.flatnonzero(mask)]
            if to_end:
                assert ends[name][number] == pytest.approx(np.mean(to_end))
            else:
                assert name not in ends
    assert all(values[-1] == pytest.approx(1) for values in ends.values())


def test_the_course_is_drawn(task: Task, block: CprflParams, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    figures = FigureFolder(tmp_path / "figures")
    result = evaluate(of_one_seed(trained(task, block)), block, task, figures)
    figures.write_index()
    [value] = [variant.measures["map"].value for variant in result.variants if variant.name == "CPRFL"]
    [note] = [note for note in result.notes if "without their moving average" in note]
    assert f"in place of {100 * value:.1f} %" in note
    drawn = {figure.entry.file: figure for figure in read_figures(figures.folder)}
    course = ("steps.svg", "refinement.svg", "refined_attention.svg")
    assert set(course) <= set(drawn)
    assert b">9, averaged<" in drawn["refined_attention.svg"].content
    assert "no step was chosen by it" in drawn["steps.svg"].entry.caption
    assert all(f">{step} steps<".encode() in drawn["refined_attention.svg"].content for step in (3, 6, 9))
