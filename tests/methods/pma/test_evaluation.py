"""PMA's evaluation: numbers equal an independent count, claims follow, every figure is written."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score

from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.methods.pma.evaluation import evaluate
from fieldmark.methods.pma.evaluation.parts import block_box, even_pictures, mended
from fieldmark.methods.pma.evaluation.predictions import Predicted, predict, strangers, texts_of
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.results.schema import MethodResult
from fieldmark.runtime.inference import run_over

Make = Callable[..., PmaParams]
VARIANTS = ("plain", "vision", "text", "PMA-1", "PMA")


def models(task: Task, params: Make, students: bool = True) -> tuple[dict[str, Pma], PmaParams]:
    """Untrained models that differ, and a student and its twin."""
    own, found = params(variants=VARIANTS, stages=2), {}
    named = {**Pma.variants(own)}
    if students:
        named |= dict.fromkeys(("student", "twin"), named["plain"])
    for seed, (name, one) in enumerate(named.items()):
        torch.manual_seed(seed)
        found[name] = Pma.build(one, task).eval()
    if students:
        found["student"].taught_by = "PMA"
    return found, own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    return tmp_path / "figures"


def test_numbers_equal_an_independent_count(task: Task, params: Make, folder: Path) -> None:
    trained, own = models(task, params)
    result = evaluate(trained, own, task, folder)
    assert result["variant_order"] == [*VARIANTS, "student", "twin"]
    test = task.subset("test")
    for name in ("plain", "vision", "student"):
        logits = run_over(trained[name], trained[name].logits, task, test, own.images, name).numpy()
        got = result["variants"][name]
        assert got["top1"]["value"] == pytest.approx((logits.argmax(1) == test.labels).mean())
        assert got["top5"]["value"] == pytest.approx(top_k_accuracy_score(test.labels, logits, k=5))
        assert got["group"]["value"] == pytest.approx((logits.argmax(1) // 2 == test.labels // 2).mean())
        assert got["top1"]["low"] <= got["top1"]["value"] <= got["top1"]["high"]
        assert "top1_missing" not in got
    assert {"top1_missing", "top1_partial", "top1_wrong"} < result["variants"]["PMA"].keys()
    assert result["counts"] == {"test pictures": 12, "training pictures": 24, "classes": 6, "groups": 3}
    assert set(result["groups"]["PMA"]) == {"genus 0", "genus 1", "genus 2"}
    assert sum(one["pictures"] for one in result["classes"]["student"].values()) == 12
    shown = MethodResult.model_validate({"method": "pma", "split": "s", "dataset": "d", **result})
    assert shown.ordered == result["variant_order"]
    json.dumps(result, allow_nan=False)


def test_claims_are_paired_differences(task: Task, params: Make, folder: Path) -> None:
    trained, own = models(task, params)
    result = evaluate(trained, own, task, folder)
    top1 = {name: one["top1"]["value"] for name, one in result["variants"].items()}
    pairs = [
        ("PMA", "vision"),
        ("vision", "plain"),
        ("PMA", "PMA-1"),
        ("student", "twin"),
        ("student", "PMA"),
    ]
    for claim, (one, other) in zip(result["claims"], pairs, strict=False):
        assert claim["decides"].startswith(f"top1 of {one} minus {other}")
        assert claim["value"] == pytest.approx(top1[one] - top1[other])
    brittle = result["claims"][-1]
    missing = result["variants"]["PMA"]["top1_missing"]["value"]
    assert brittle["value"] == pytest.approx(missing - top1["vision"])
    assert len(result["claims"]) == 6


def test_a_student_within_two_points_nearly_matches(task: Task, params: Make, folder: Path) -> None:
    trained, own = models(task, params)
    trained["student"] = copy.copy(trained["PMA"])
    trained["student"].taught_by = "PMA"
    claim = evaluate(trained, own, task, folder)["claims"][4]
    assert (claim["value"], claim["verdict"]) == (0, "holds")
    assert "above -2 points" in claim["decides"]


def test_the_student_is_compared_with_the_teacher_that_it_had(task: Task, params: Make, folder: Path) -> None:
    trained, own = models(task, params)
    trained["student"].taught_by = "vision"
    result = evaluate(trained, own, task, folder)
    top1 = {name: one["top1"]["value"] for name, one in result["variants"].items()}
    [claim] = [claim for claim in result["claims"] if "nearly matches" in claim["claim"]]
    assert claim["decides"].startswith("top1 of student minus vision")
    assert claim["value"] == pytest.approx(top1["student"] - top1["vision"])
    assert result["variant_titles"]["student"] == "picture alone, taught by vision"
    assert not (folder / "mended.svg").exists()  # vision reads nothing that could have mended it


def test_without_text_only_vision_is_judged(task: Task, params: Make, folder: Path) -> None:
    silent = replace(task, text=Path("none"))
    own = params(variants=["plain", "vision"], stages=2)
    trained = {name: Pma.build(one, silent) for name, one in Pma.variants(own).items()}
    result = evaluate(trained, own, silent, folder)
    assert [claim["claim"] for claim in result["claims"]] == ["Attention to parts helps the backbone"]
    listed = [entry["file"] for entry in json.loads((folder / "figures.json").read_text())]
    assert listed == ["accuracy.svg", "parts.svg", "calibration.svg", "groups.svg"]
    assert not any("Text alone" in note for note in result["notes"])
    assert set(result["lower_is_better"]) <= set(result["headline"])


def test_figures_are_written_and_the_same_twice(task: Task, params: Make, folder: Path) -> None:
    trained, own = models(task, params)
    write_curves(task.history, {"PMA": [{"step": 10, "lr": 1.0, "cross_entropy": 2.0, "loss": 2.0}] * 3})
    evaluate(trained, own, task, folder)
    listed = [entry["file"] for entry in json.loads((folder / "figures.json").read_text())]
    assert listed == [
        "accuracy.svg", "stages.svg", "texts.svg", "parts.svg", "mended.svg", "calibration.svg", "groups.svg",
        "loss.svg",
    ]  # fmt: skip
    first = {name: (folder / name).read_bytes() for name in listed}
    evaluate(trained, own, task, folder)
    assert first == {name: (folder / name).read_bytes() for name in listed}


def test_texts_are_missing_partial_and_of_others(task: Task, params: Make) -> None:
    tokens = torch.zeros(6, 5, 2, dtype=torch.long)
    for row, count in enumerate((5, 4, 3, 2, 1, 0)):
        tokens[row, :count, 0] = 10 * (row + 1) + torch.arange(count)
    labels = np.array([0, 0, 1, 1, 2, 2])
    found = texts_of(tokens, labels)
    assert torch.equal(found["own"], tokens)
    assert not found["missing"].any()
    assert (found["partial"][..., 0] != 0).sum(1).tolist() == [3, 2, 2, 1, 1, 0]
    kept = found["partial"] != 0
    assert torch.equal(found["partial"][kept], tokens[kept])
    chosen = strangers(labels, np.random.default_rng(0))
    assert (labels[chosen] != labels).all()
    for row, wrong in enumerate(found["wrong"]):
        assert any(torch.equal(wrong, tokens[other]) for other in np.flatnonzero(labels != labels[row]))
    assert strangers(np.zeros(3, np.int64), np.random.default_rng(0)).tolist() == [0, 1, 2]
    assert all(
        torch.equal(one, again)
        for one, again in zip(found.values(), texts_of(tokens, labels).values(), strict=True)
    )


def test_missing_text_is_that_of_a_picture_without_phrases(task: Task, params: Make) -> None:
    trained, own = models(task, params, students=False)
    found = predict(trained["PMA"], own.images, task, "test")
    silent = [index for index, texts in enumerate(found.phrases.texts) if not texts]
    for index in silent:
        torch.testing.assert_close(found.logits["missing"][index], found.logits["own"][index])
    assert not torch.allclose(found.logits["missing"], found.logits["own"])
    assert found.groups.tolist() == ["genus 0"] * 2 + ["genus 1"] * 2 + ["genus 2"] * 2


def predicted(task: Task, probabilities: np.ndarray) -> Predicted:
    logits = {"own": torch.from_numpy(np.log(probabilities))}
    return Predicted(task.subset("test"), [f"class {n}" for n in range(6)], np.array(["g"] * 6), logits, None)


def test_pictures_are_chosen_by_rule(task: Task) -> None:
    labels = task.subset("test").labels
    right = np.full((12, 6), 0.02)
    right[np.arange(12), labels] = np.linspace(0.5, 0.9, 12)
    wrong = np.full((12, 6), 0.01)
    wrong[np.arange(12), (labels + 1) % 6] = 0.9
    wrong[0] = right[0]  # this one the student gets right
    teacher, student = (predicted(task, one / one.sum(1, keepdims=True)) for one in (right, wrong))
    assert even_pictures(teacher, 3) == [2, 6, 10]
    chosen = mended(student, teacher)
    assert chosen == [11, 9, 7, 5, 3, 1]  # one of each class, the surest teacher first
    assert 0 not in mended(student, teacher, 12)
    assert mended(teacher, teacher) == []


def test_a_block_is_drawn_where_it_lies() -> None:
    assert block_box(0, (2, 4), 32) == (0, 0, 8, 16)
    assert block_box(6, (2, 4), 32) == (16, 16, 8, 16)
