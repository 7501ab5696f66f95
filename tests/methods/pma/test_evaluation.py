"""PMA's evaluation: numbers equal an independent count, claims follow, every figure is written."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import top_k_accuracy_score
from support.seeds import of_one_seed

from fieldmark.engine.monitor import write_curves
from fieldmark.engine.task import Task
from fieldmark.methods.pma.evaluation import evaluate
from fieldmark.methods.pma.evaluation.parts import block_box, mended
from fieldmark.methods.pma.evaluation.predictions import new_parts, predict, strangers, texts_of
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.protocols.classification import Classified
from fieldmark.protocols.shared import SharedFeatures
from fieldmark.results.figures import FigureFolder, read_figures
from fieldmark.results.schema import Evaluation, MethodResult

Make = Callable[..., PmaParams]
VARIANTS = ("plain", "vision", "text", "PMA-1", "PMA")


def models(task: Task, params: Make, teacher: str | None = "PMA") -> dict[str, Pma]:
    """Untrained models that differ; with a teacher, its student and the twin too."""
    variants = Pma.variants(params(variants=VARIANTS, stages=2))
    if teacher:
        variants += Pma.variants(params(variants=["student", "twin"], teacher=teacher))
    untrained = {}
    for seed, variant in enumerate(variants):
        torch.manual_seed(seed)
        untrained[variant.name] = Pma.build(variant, task).eval()
    return untrained


def scored(untrained: Mapping[str, Pma], task: Task, folder: Path) -> Evaluation:
    figures = FigureFolder(folder)
    evaluation = evaluate(of_one_seed(untrained), next(iter(untrained.values())).params, task, figures)
    figures.write_index()
    return evaluation


def values(evaluation: Evaluation, measure: str = "top1") -> dict[str, float]:
    """The value of one measure by the name of the variant."""
    return {v.name: v.measures[measure].value for v in evaluation.variants if measure in v.measures}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "figures").mkdir()
    return tmp_path / "figures"


def test_numbers_equal_an_independent_count(task: Task, params: Make, folder: Path) -> None:
    untrained = models(task, params)
    evaluation = scored(untrained, task, folder)
    assert [variant.name for variant in evaluation.variants] == [*VARIANTS, "student", "twin"]
    measures = {variant.name: variant.measures for variant in evaluation.variants}
    test = task.subset("test")
    for name in ("plain", "vision", "student"):
        model = untrained[name]
        logits = task.run(model, model.logits, test, model.params.images, name).numpy()
        measured = measures[name]
        assert measured["top1"].value == pytest.approx((logits.argmax(1) == test.labels).mean())
        assert measured["top5"].value == pytest.approx(top_k_accuracy_score(test.labels, logits, k=5))
        assert measured["group"].value == pytest.approx((logits.argmax(1) // 2 == test.labels // 2).mean())
        assert measured["top1"].low <= measured["top1"].value <= measured["top1"].high
        assert "top1_missing" not in measured
    assert {"top1_missing", "top1_partial", "top1_wrong"} < measures["PMA"].keys()
    assert evaluation.counts == {"test pictures": 12, "training pictures": 24, "classes": 6, "groups": 3}


def test_classes_and_groups_are_details_and_top1_is_the_metric(
    task: Task, params: Make, folder: Path
) -> None:
    evaluation = scored(models(task, params), task, folder)
    assert set(evaluation.metric_values) == {f"{name}.top1" for name in (*VARIANTS, "student", "twin")}
    assert evaluation.headline == ("top1", "top5", "group", "calibration_error")
    assert set(evaluation.details["groups"]["PMA"]) == {"genus 0", "genus 1", "genus 2"}
    assert set(evaluation.details["classes"]) == {"PMA", "student"}
    per_class = evaluation.details["classes"]["student"]
    assert sum(part["pictures"] for part in per_class.values()) == 12
    mean = sum(part["value"] * part["pictures"] for part in per_class.values()) / 12
    assert mean == pytest.approx(values(evaluation)["student"])
    result = MethodResult(method="pma", split="s", dataset="d", **evaluation.model_dump())
    json.dumps(result.model_dump(mode="json"), allow_nan=False)


def test_claims_are_paired_differences(task: Task, params: Make, folder: Path) -> None:
    evaluation = scored(models(task, params), task, folder)
    top1 = values(evaluation)
    pairs = [
        ("PMA", "vision"),
        ("vision", "plain"),
        ("PMA", "PMA-1"),
        ("student", "twin"),
        ("student", "PMA"),
    ]
    for claim, (first, second) in zip(evaluation.claims, pairs, strict=False):
        assert claim.decides.startswith(f"top1 of {first} minus {second}")
        assert claim.value == pytest.approx(top1[first] - top1[second])
    missing = values(evaluation, "top1_missing")["PMA"]
    assert evaluation.claims[-1].value == pytest.approx(missing - top1["vision"])
    assert len(evaluation.claims) == 6


ABLATIONS = {
    "Masking located parts helps": ("PMA", "PMA-no-visual-mask"),
    "Masking located parts helps on pictures alone": ("vision", "vision-no-mask"),
    "Masking phrases that were called up helps": ("PMA", "PMA-no-text-mask"),
    "The local streams help": ("PMA", "PMA-no-local"),
    "The global streams help": ("PMA", "PMA-no-global"),
    "Phrases are better called up by the part (QRM) than by themselves (SAM)": ("PMA", "PMA-SAM"),
    "SAM finds more than QRM alone": ("PMA", "PMA-QRM"),
}


def ablated(task: Task, params: Make, **changes: object) -> dict[str, Pma]:
    """Untrained models of every ablation and of what they are compared with, all from the same weights."""
    names = [*dict.fromkeys(name for pair in ABLATIONS.values() for name in pair)]
    untrained = {}
    for variant in Pma.variants(params(variants=names, **{"stages": 2, **changes})):
        torch.manual_seed(0)
        untrained[variant.name] = Pma.build(variant, task).eval()
    return untrained


def test_what_the_paper_adds_is_taken_away_piece_by_piece(task: Task, params: Make, folder: Path) -> None:
    untrained = ablated(task, params, share_stage_params=True)  # without a mask both stages then see the same
    evaluation = scored(untrained, task, folder)
    top1, found = values(evaluation), values(evaluation, "new_parts")
    masked = {name for name in untrained if name not in ("PMA-no-visual-mask", "vision-no-mask")}
    assert found == {name: 1.0 if name in masked else 0.5 for name in untrained}
    assert any("new_parts" in note for note in evaluation.notes)
    claims = {claim.claim: claim for claim in evaluation.claims}
    for claim, (better, than) in ABLATIONS.items():
        assert claims[claim].decides == f"top1 of {better} minus {than}"
        assert claims[claim].value == pytest.approx(top1[better] - top1[than])
    for claim in ("Masking finds new parts", "Masking finds new parts on pictures alone"):
        assert (claims[claim].value, claims[claim].verdict) == (0.5, "holds")
    listed = [figure.entry.file for figure in read_figures(folder)]
    assert "stages.svg" not in listed  # one whole bi-modal model: no course over stages


def test_one_model_by_two_names_is_not_testable(task: Task, params: Make, folder: Path) -> None:
    untrained = ablated(task, params, stages=1, text_mask_max=0)
    claims = {claim.claim: claim for claim in scored(untrained, task, folder).claims}
    same = {name for name, claim in claims.items() if claim.verdict == "not testable here"}
    assert same == {
        "Masking finds new parts",
        "Masking finds new parts on pictures alone",
        "Masking located parts helps",
        "Masking located parts helps on pictures alone",
        "Masking phrases that were called up helps",
    }


def test_parts_of_the_test_pictures_are_those_that_the_stages_located(task: Task, params: Make) -> None:
    model = models(task, params, teacher=None)["PMA"]
    predicted = predict(model, model.params.images, SharedFeatures(task), "test")
    test = task.subset("test")
    expected = []
    for index, row in enumerate(test.rows):
        image = torch.from_numpy(task.store[int(row)].copy()).permute(2, 0, 1)
        tokens = predicted.phrases.tokens[index : index + 1]
        with torch.no_grad():
            stages = model.attend_feature_map(model.feature_map(image[None]), tokens)[1]
        expected.append([int(stage.part[0]) for stage in stages])
    assert predicted.parts.tolist() == expected
    assert new_parts(np.array([[3, 3, 3], [0, 1, 0], [2, 1, 0]])).tolist() == pytest.approx([1 / 3, 2 / 3, 1])


def test_a_student_within_two_points_nearly_matches(task: Task, params: Make, folder: Path) -> None:
    untrained = models(task, params)
    double = copy.copy(untrained["PMA"])
    taught = double.params.model_copy(update={"teacher": "PMA"})
    double.variant = replace(double.variant, params=taught)
    claim = scored(untrained | {"student": double}, task, folder).claims[4]
    assert (claim.value, claim.verdict) == (0, "holds")
    assert "above -2 points" in claim.decides


def test_the_student_is_compared_with_the_teacher_that_it_had(task: Task, params: Make, folder: Path) -> None:
    evaluation = scored(models(task, params, teacher="vision"), task, folder)
    top1 = values(evaluation)
    [claim] = [claim for claim in evaluation.claims if "nearly matches" in claim.claim]
    assert claim.decides.startswith("top1 of student minus vision")
    assert claim.value == pytest.approx(top1["student"] - top1["vision"])
    titles = {variant.name: variant.title for variant in evaluation.variants}
    assert titles["student"] == "picture alone, taught by vision"
    assert not (folder / "mended.svg").exists()  # vision reads nothing that could have mended it


def test_without_text_only_vision_is_judged(task: Task, params: Make, folder: Path) -> None:
    silent = replace(task, text=Path("none"))
    variants = Pma.variants(params(variants=["plain", "vision"], stages=2))
    evaluation = scored({v.name: Pma.build(v, silent) for v in variants}, silent, folder)
    assert [claim.claim for claim in evaluation.claims] == ["Attention to parts helps the backbone"]
    listed = [figure.entry.file for figure in read_figures(folder)]
    assert listed == ["accuracy.svg", "parts.svg", "calibration.svg", "groups.svg"]
    assert not any("Text alone" in note for note in evaluation.notes)
    assert set(evaluation.lower_is_better) <= set(evaluation.headline)


def test_figures_are_written_and_the_same_twice(task: Task, params: Make, folder: Path) -> None:
    untrained = models(task, params)
    write_curves(task.history, {"PMA/0": [{"step": 10, "lr": 1.0, "cross_entropy": 2.0, "loss": 2.0}] * 3})
    scored(untrained, task, folder)
    first = read_figures(folder)
    assert [figure.entry.file for figure in first] == [
        "accuracy.svg",
        "stages.svg",
        "texts.svg",
        "parts.svg",
        "mended.svg",
        "calibration.svg",
        "groups.svg",
        "loss.svg",
    ]
    assert first[3].entry.title == "What each stage looks at and reads, PMA"
    scored(untrained, task, folder)
    assert read_figures(folder) == first


def test_texts_are_missing_partial_and_of_others() -> None:
    tokens = torch.zeros(6, 5, 2, dtype=torch.long)
    for row, count in enumerate((5, 4, 3, 2, 1, 0)):
        tokens[row, :count, 0] = 10 * (row + 1) + torch.arange(count)
    labels = np.array([0, 0, 1, 1, 2, 2])
    texts = texts_of(tokens, labels)
    assert torch.equal(texts["own"], tokens)
    assert not texts["missing"].any()
    assert (texts["partial"][..., 0] != 0).sum(1).tolist() == [3, 2, 2, 1, 1, 0]
    kept = texts["partial"] != 0
    assert torch.equal(texts["partial"][kept], tokens[kept])
    chosen = strangers(labels, np.random.default_rng(0))
    assert (labels[chosen] != labels).all()
    for row, wrong in enumerate(texts["wrong"]):
        assert any(torch.equal(wrong, tokens[other]) for other in np.flatnonzero(labels != labels[row]))
    assert strangers(np.zeros(3, np.int64), np.random.default_rng(0)).tolist() == [0, 1, 2]
    assert all(
        torch.equal(text, again)
        for text, again in zip(texts.values(), texts_of(tokens, labels).values(), strict=True)
    )


@pytest.mark.parametrize("classes", [1, 2, 7, 60])
def test_strangers_are_drawn_among_all_pictures_of_other_classes(classes: int) -> None:
    labels = np.random.default_rng(classes).integers(0, classes, 80)
    rng = np.random.default_rng(5)
    others = [np.flatnonzero(labels != label) for label in labels]
    drawn = [rng.choice(some) if len(some) else index for index, some in enumerate(others)]
    assert strangers(labels, np.random.default_rng(5)).tolist() == drawn


def test_missing_text_is_that_of_a_picture_without_phrases(task: Task, params: Make) -> None:
    model = models(task, params, teacher=None)["PMA"]
    predicted = predict(model, model.params.images, SharedFeatures(task), "test")
    silent = [index for index, texts in enumerate(predicted.phrases.texts) if not texts]
    missing, whole = predicted.by_text["missing"].logits, predicted.with_own_text.logits
    for index in silent:
        torch.testing.assert_close(missing[index], whole[index])
    assert not torch.allclose(missing, whole)


def test_the_pictures_that_text_would_have_mended_are_chosen_by_rule(task: Task) -> None:
    test = task.subset("test")
    right = np.full((12, 6), 0.02)
    right[np.arange(12), test.labels] = np.linspace(0.5, 0.9, 12)
    wrong = np.full((12, 6), 0.01)
    wrong[np.arange(12), (test.labels + 1) % 6] = 0.9
    wrong[0] = right[0]  # this one the student gets right
    teacher, student = (
        Classified(test, test.class_names, np.array(["g"] * 6), torch.from_numpy(np.log(scores)))
        for scores in (right, wrong)
    )
    assert mended(student, teacher) == [11, 9, 7, 5, 3, 1]  # one of each class, the surest teacher first
    assert 0 not in mended(student, teacher, 12)
    assert mended(teacher, teacher) == []


def test_a_block_is_drawn_where_it_lies() -> None:
    assert block_box(0, (2, 4), 32) == (0, 0, 8, 16)
    assert block_box(6, (2, 4), 32) == (16, 16, 8, 16)
