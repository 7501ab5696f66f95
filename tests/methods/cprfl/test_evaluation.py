"""CPRFL's evaluation: numbers equal scikit-learn's, claims follow from them, every figure is written."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, label_ranking_average_precision_score

from fieldmark.base.errors import UserError
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.methods.cprfl.evaluation import evaluate
from fieldmark.methods.cprfl.evaluation.figures import write_figures
from fieldmark.methods.cprfl.evaluation.looking import (
    pictures_by_rule,
    ranking_quality,
    similarities,
)
from fieldmark.methods.cprfl.evaluation.scored import read_truth, score, zero_shot
from fieldmark.methods.cprfl.model.head import PromptHead
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.methods.cprfl.model.thresholds import choose_thresholds
from fieldmark.results.schema import MethodResult
from fieldmark.runtime.inference import run_over
from fieldmark.texts.prompts import read_prompts, write_prompts

Make = Callable[..., CprflParams]
NAMES = ["crow", "finch", "heron", "wren"]


def models(task: Task, own: CprflParams) -> dict[str, Cprfl]:
    """Untrained models whose weights differ."""
    found = {}
    for seed, (name, one) in enumerate(Cprfl.variants(own).items()):
        torch.manual_seed(seed)
        found[name] = Cprfl.build(one, task).eval()
        found[name].finish(task)
    return found


@pytest.fixture
def grouped(task: Task) -> Task:
    """Groups of categories as they fall among 42 training pictures."""
    return replace(task, head=25, tail=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    return tmp_path / "figures"


def targets(task: Task) -> np.ndarray:
    labels = task.manifest.set_index("row")["labels"]
    return np.array([[int(name in labels[row]) for name in NAMES] for row in task.subset("test").rows])


def test_numbers_are_those_of_scikit_learn(grouped: Task, params: Make, folder: Path) -> None:
    own, truth = params(), targets(grouped)
    trained = models(grouped, own)
    result = evaluate(trained, own, grouped, folder)
    assert result["variant_order"] == list(result["variants"]) == ["zero-shot", *own.variants]
    for name, model in trained.items():
        logits = run_over(model, model.logits, grouped, grouped.subset("test"), own.images, name).numpy()
        ap = [average_precision_score(truth[:, c], logits[:, c]) for c in range(4)]
        got = result["variants"][name]
        assert got["map"]["value"] == pytest.approx(np.mean(ap))
        assert got["map"]["low"] <= got["map"]["value"] <= got["map"]["high"]
        assert [result["categories"][one]["ap"][name] for one in NAMES] == pytest.approx(ap)
        said = 1 / (1 + np.exp(-logits)) >= model.thresholds.numpy()
        assert got["of1"] == pytest.approx(f1_score(truth.ravel(), said.ravel(), zero_division=0))
        means = {g: np.mean([ap[c] for c in m]) for g, m in groups(result).items() if m}
        for group, value in means.items():
            assert got[group]["value"] == pytest.approx(value)
        sizes = {g: len(m) for g, m in groups(result).items()}
        assert got["map"]["value"] == pytest.approx(sum(means[g] * sizes[g] for g in means) / 4)
    shown = MethodResult.model_validate({"method": "cprfl", "split": "s", "dataset": "d", **result})
    assert shown.headline == ["map", "head", "medium", "tail", "of1", "cf1"]
    json.dumps(result, allow_nan=False)


def groups(result: dict) -> dict[str, list[int]]:
    counts = [result["categories"][name]["training pictures"] for name in NAMES]
    return {
        "head": [c for c in range(4) if counts[c] >= 25],
        "medium": [c for c in range(4) if 10 <= counts[c] < 25],
        "tail": [c for c in range(4) if counts[c] < 10],
    }


def test_counts_and_categories_are_those_of_the_split(grouped: Task, params: Make, folder: Path) -> None:
    own = params(variants=["ASL", "CPRFL"])
    result = evaluate(models(grouped, own), own, grouped, folder)
    in_training = grouped.split["role"].isin(["train", "val"]).to_numpy()
    table = np.array([[name in labels for name in NAMES] for labels in grouped.manifest["labels"]])
    counts = table[in_training].sum(0)
    listed = list(result["categories"].items())
    assert [name for name, _ in listed] == [NAMES[c] for c in np.argsort(-counts, kind="stable")]
    assert {name: one["training pictures"] for name, one in listed} == dict(zip(NAMES, counts, strict=True))
    given = result["counts"]
    assert (given["test pictures"], given["training pictures"], given["validation pictures"]) == (24, 30, 12)
    assert given["imbalance"] == counts.max() / counts.min()
    assert given["of the head"] + given["of the medium"] + given["of the tail"] == 4 == given["categories"]


def test_claims_are_paired_differences(grouped: Task, params: Make, folder: Path) -> None:
    own = params()
    result = evaluate(models(grouped, own), own, grouped, folder)
    value = {name: {m: row[m]["value"] for m in ("map", "tail")} for name, row in result["variants"].items()}
    decided = [claim["decides"].split(" of CPRFL minus ") for claim in result["claims"]]
    assert decided == [
        ["map", "ASL"],
        ["tail", "ASL"],
        ["map", "linear-PI"],
        ["map", "random"],
        ["map", "VSI-path"],
        ["map", "direct-path"],
    ]
    for (measure, than), claim in zip(decided, result["claims"], strict=True):
        assert claim["value"] == pytest.approx(value["CPRFL"][measure] - value[than][measure])
        assert claim["low"] <= claim["value"] <= claim["high"]
        assert claim["verdict"] in ("holds", "does not hold", "undecided")


def test_a_model_is_no_better_than_itself(task: Task, params: Make, folder: Path) -> None:
    own = params(variants=["ASL", "CPRFL"])
    trained = models(task, own)
    trained["ASL"] = trained["CPRFL"]
    claim = evaluate(trained, own, task, folder)["claims"][0]
    assert (claim["value"], claim["low"], claim["high"]) == (0, 0, 0)
    assert claim["verdict"] == "does not hold"


def test_zero_shot_is_the_cosine_under_thresholds_of_validation(task: Task) -> None:
    prompts, truth = read_prompts(task.text), read_truth(task, NAMES)
    found = zero_shot(prompts, truth, task)
    assert found is not None
    pictures, names = prompts.image_embeddings.numpy(), prompts.embeddings.numpy()  # type: ignore[union-attr]
    expected = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in names] for a in pictures])
    np.testing.assert_allclose(found.scores, expected[task.subset("test").rows], rtol=1e-5)
    table = np.array([[int(name in labels) for name in NAMES] for labels in task.manifest["labels"]])
    val = task.subset("val").rows
    np.testing.assert_allclose(found.thresholds, choose_thresholds(expected[val], table[val]), rtol=1e-4)


def test_without_validation_pictures_the_report_says_so(task: Task, params: Make, folder: Path) -> None:
    roles = task.split["role"].replace("val", "train")
    own, bare = params(variants=["ASL"]), replace(task, split=task.split.assign(role=roles))
    result = evaluate(models(bare, own), own, bare, folder)
    assert "of1" in result["variants"]["ASL"]
    assert "of1" not in result["variants"]["zero-shot"]  # a cosine has no 0.5 to be above
    notes = " ".join(result["notes"])
    assert "under a threshold of 0.5" in notes
    assert "chosen on the validation pictures" not in notes


def test_without_picture_embeddings_there_is_no_zero_shot(task: Task, params: Make, folder: Path) -> None:
    write_prompts(replace(read_prompts(task.text), image_embeddings=None), ["{}"], NAMES, task.text)
    own = params(variants=["ASL"])
    result = evaluate(models(task, own), own, task, folder)
    assert list(result["variants"]) == ["ASL"]
    assert result["claims"] == []
    assert [entry["file"] for entry in json.loads((folder / "figures.json").read_text())] == [
        "categories.svg",
        "scores.svg",
    ]


def test_categories_without_a_test_picture_are_named(task: Task, params: Make, folder: Path) -> None:
    testing = task.split["role"].to_numpy() == "test"
    bare = [
        [one for one in labels if one != "wren"] if test else labels
        for labels, test in zip(task.manifest["labels"], testing, strict=True)
    ]
    own = params(variants=["CPRFL"])
    poorer = replace(task, manifest=task.manifest.assign(labels=bare))
    result = evaluate(models(poorer, own), own, poorer, folder)
    assert result["categories"]["wren"]["ap"] == {"zero-shot": None, "CPRFL": None}
    assert "in no mean: wren" in " ".join(result["notes"])
    assert "have a cosine of" in " ".join(result["notes"])
    json.dumps(result, allow_nan=False)


def test_a_test_without_labels_and_scores_that_are_no_numbers_are_refused(task: Task, params: Make) -> None:
    empty = replace(task, manifest=task.manifest.assign(labels=[[] for _ in range(len(task.manifest))]))
    with pytest.raises(UserError, match="no test picture has a label"):
        read_truth(empty, NAMES)
    own = params(variants=["ASL"])
    broken = models(task, own)["ASL"]
    torch.nn.init.constant_(broken.head.classifier.bias, float("nan"))  # type: ignore[union-attr, arg-type]
    with pytest.raises(UserError, match="variant ASL gives scores that are not finite"):
        score("ASL", broken, read_truth(task, NAMES), task)


def test_figures_are_written_and_listed_and_the_same_twice(grouped: Task, params: Make, folder: Path) -> None:
    own = params(variants=["ASL", "linear-PI", "CPRFL"])
    point = {"step": 10, "lr": 1.0, "ASL": 2.0, "loss": 2.0}
    write_curves(grouped.history, {"ASL": [point] * 3, "CPRFL": [point] * 3})
    trained, truth = models(grouped, own), read_truth(grouped, NAMES)
    scored = {name: score(name, model, truth, grouped) for name, model in trained.items()}
    write_figures(scored, trained, grouped, folder)
    listed = [entry["file"] for entry in json.loads((folder / "figures.json").read_text())]
    assert listed == [
        "means.svg",
        "parts.svg",
        "categories.svg",
        "scores.svg",
        "attention.svg",
        "prompts.svg",
        "loss.svg",
    ]
    first = {name: (folder / name).read_bytes() for name in listed}
    write_figures(scored, trained, grouped, folder)
    assert {name: (folder / name).read_bytes() for name in listed} == first
    assert not any(b"mathdefault" in content for content in first.values())  # numbers are plain text


def test_pictures_are_chosen_by_rule(task: Task, params: Make) -> None:
    own = params(variants=["ASL"])
    scored = score("ASL", models(task, own)["ASL"], read_truth(task, NAMES), task)
    chosen = pictures_by_rule(scored, 3)
    assert len(set(chosen)) == 3
    assert (scored.truth.targets[chosen].sum(1) >= 2).all()
    quality = ranking_quality(scored.scores[chosen], scored.truth.targets[chosen])
    assert quality.tolist() == sorted(quality.tolist())
    assert len(pictures_by_rule(scored, 1000)) == (scored.truth.targets.sum(1) > 0).sum()


def test_ranking_quality_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.random((9, 5)), rng.random((9, 5)) < 0.4
    truth[:, 0] = True
    one_by_one = [
        label_ranking_average_precision_score(truth[i : i + 1], scores[i : i + 1]) for i in range(9)
    ]
    np.testing.assert_allclose(ranking_quality(scores, truth), one_by_one)


def test_similarities_are_cosines_in_the_order_asked(task: Task, params: Make) -> None:
    model = models(task, params(variants=["CPRFL"]))["CPRFL"]
    assert isinstance(model.head, PromptHead)
    found = similarities(model.head, np.array([2, 0, 3, 1]))
    vectors = model.head.vectors
    expected = torch.nn.functional.cosine_similarity(vectors[2], vectors[3], dim=0)
    assert found["CLIP's vectors"][0, 2] == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(np.diag(found["trained prompts"]), 1, rtol=1e-5)
