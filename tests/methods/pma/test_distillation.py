"""Distillation: the loss by hand, a teacher that stays as it is, answers kept where pictures stay the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import SIDE

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.contract.registry import load_distillation
from fieldmark.contract.variants import load_students, train_variants
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.engine.training import train_on
from fieldmark.methods.pma.distillation import DistillParams, distil
from fieldmark.methods.pma.distillation.losses import distillation_losses, soft_cross_entropy
from fieldmark.methods.pma.distillation.students import (
    Distillation,
    KeptAnswers,
    load_teacher,
    teacher_logits,
)
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.methods.pma.model.variants import Parts

Make = Callable[..., DistillParams]
WIRING = {
    "dataset": "birds",
    "split": "classification",
    "backbone": "backbones/resnet",
    "text": "phrases/birds",
}
STILL = {"side": SIDE, "crop": "centre", "flip": False}


@pytest.fixture
def made() -> Make:
    def make(**changes: Any) -> DistillParams:
        fields = {"images": {"side": SIDE}, "train": {"steps": 4, "batch_size": 6, "lr": 1e-2}, **changes}
        return parse(DistillParams, {**WIRING, **fields}, "distill.pma")

    return make


@pytest.fixture
def teachers(task: Task, params: Callable[..., PmaParams]) -> Path:
    train_variants("pma", params(variants=["PMA", "vision"], stages=2, captions=1), task, Path("variants"))
    return Path("variants")


def teacher_of(teachers: Path) -> Path:
    return teachers / "PMA/0"


def build(params: DistillParams, task: Task) -> Pma:
    torch.manual_seed(params.seed)
    return Pma.build(Pma.named(params.network, "student"), task)


def batch(task: Task) -> dict[str, torch.Tensor]:
    train = task.subset("train")
    images = torch.stack([torch.from_numpy(task.store[int(r)].copy()).permute(2, 0, 1) for r in train.rows])
    labels = torch.zeros(len(train), dtype=torch.long)
    return {"images": images, "labels": labels, "indices": torch.arange(len(train))}


def test_soft_targets_by_hand() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    expected = 0.0
    for row in range(3):
        p = torch.exp(teacher[row] / 2) / torch.exp(teacher[row] / 2).sum()
        q = torch.exp(student[row] / 2) / torch.exp(student[row] / 2).sum()
        expected -= sum(float(p[k]) * float(q[k].log()) for k in range(4)) / 3
    assert float(soft_cross_entropy(student, teacher, 2.0)) == pytest.approx(4 * expected, rel=1e-6)


def test_the_loss_is_least_where_the_student_says_what_the_teacher_says() -> None:
    torch.manual_seed(0)
    teacher = torch.randn(5, 4)
    student = (teacher + 3).requires_grad_()  # logits may differ by a constant
    least = soft_cross_entropy(student, teacher)
    least.backward()
    torch.testing.assert_close(student.grad, torch.zeros(5, 4), atol=1e-6, rtol=0)
    for _ in range(20):
        assert soft_cross_entropy(teacher + 0.3 * torch.randn(5, 4), teacher) > least


def test_labels_count_by_their_weight_alone() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    labels, others = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 2, 3, 0, 1])
    alone = distillation_losses(student, teacher, labels, 1.0, 0.0)
    assert set(alone) == {"soft", "loss"}
    assert alone["loss"] == distillation_losses(student, teacher, others, 1.0, 0.0)["loss"]
    mixed = distillation_losses(student, teacher, labels, 1.0, 0.25)
    torch.testing.assert_close(mixed["soft"], 0.75 * alone["soft"])
    torch.testing.assert_close(mixed["labels"], 0.25 * torch.nn.functional.cross_entropy(student, labels))
    torch.testing.assert_close(mixed["loss"], mixed["soft"] + mixed["labels"])
    assert set(distillation_losses(student, teacher, labels, 1.0, 1.0)) == {"labels", "loss"}


def test_nothing_flows_to_the_teacher_nor_changes_it(made: Make, task: Task, teachers: Path) -> None:
    params = made()
    teacher = load_teacher(params, task, teacher_of(teachers))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    learner = Distillation(build(params, task), params, teacher).train()
    assert not any(module.training for module in teacher.modules())
    assert learner.student.training
    learner(batch(task))["loss"].backward()
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    given = {id(weight) for group in learner.parameter_groups(params.seeded) for weight in group.params}
    assert given == {id(weight) for weight in learner.student.parameters()}


def test_the_teacher_reads_the_phrases_of_each_picture(made: Make, task: Task, teachers: Path) -> None:
    params = made()
    teacher = load_teacher(params, task, teacher_of(teachers))
    images, indices = batch(task)["images"], torch.tensor([5, 0, 9])
    logits = teacher({"images": images[indices], "indices": indices})
    assert torch.equal(logits, teacher.model.logits(images[indices], teacher.tokens[indices]))
    swapped = teacher({"images": images[indices], "indices": indices.flip(0)})
    assert not torch.allclose(logits, swapped)


def test_kept_answers_are_those_of_asking_each_time(made: Make, task: Task, teachers: Path) -> None:
    params = made(images=STILL)
    assert params.fixed
    curves = distil(params, task, teachers, Path("kept"))
    assert list(curves) == ["student/0", "twin/0"]
    student = build(params, task)
    learner = Distillation(student, params, load_teacher(params, task, teacher_of(teachers)))
    train_on(learner, params.images, params.seeded, task, "asked")
    [saved_student] = load_students(Path("kept"))["student"]
    saved = saved_student.state_dict()
    for name, value in student.state_dict().items():
        torch.testing.assert_close(saved[name], value, atol=1e-4, rtol=1e-3)


def test_an_answer_is_kept_for_each_training_picture(made: Make, task: Task, teachers: Path) -> None:
    params = made(images=STILL)
    teacher = load_teacher(params, task, teacher_of(teachers))
    logits = teacher_logits(teacher, params, task)
    assert logits.shape == (24, 6)
    data = batch(task) | {"indices": torch.tensor([5, 0, 9])}
    assert torch.equal(KeptAnswers(logits)(data), logits[[5, 0, 9]])


@pytest.mark.parametrize(
    ("changes", "fixed"),
    [
        ({}, False),
        ({"images": STILL}, True),
        ({"images": {**STILL, "flip": True}}, False),
        ({"images": {**STILL, "jitter": 0.1}}, False),
        ({"images": {**STILL, "crop": "random"}}, False),
        ({"images": {**STILL, "cutout": 0.5}}, False),
        ({"images": {**STILL, "augment": 2}}, False),
        ({"view": "test"}, True),
    ],
)
def test_answers_are_kept_only_where_the_picture_stays_the_same(
    made: Make, changes: dict[str, Any], fixed: bool
) -> None:
    assert made(**changes).fixed == fixed


def test_the_twin_differs_from_the_student_in_what_it_learns_from(
    made: Make, task: Task, teachers: Path
) -> None:
    distil(made(), task, teachers, Path("students"))
    models = load_students(Path("students"))
    assert list(models) == ["student", "twin"]
    [student], [twin] = models["student"], models["twin"]
    assert student.variant.title == "picture alone, taught by PMA"
    assert twin.variant.title == "the student's network and budget, labels alone"
    assert student.params == twin.params
    assert student.variant.parts == twin.variant.parts
    assert student.attention is None
    assert student.encoder is None
    assert not torch.equal(student.classifier.weight, twin.classifier.weight)


def test_a_student_learns_from_the_teacher_in_its_place(
    made: Make, task: Task, params: Callable[..., PmaParams]
) -> None:
    train_variants("pma", params(variants=["PMA"], stages=2, seeds=[3, 10]), task, Path("teachers"))
    curves = distil(made(seeds=[1, 2]), task, Path("teachers"), Path("students"))
    assert list(curves) == ["student/1", "student/2", "twin/1", "twin/2"]
    Path("alone/PMA").mkdir(parents=True)
    Path("teachers/PMA/10").rename("alone/PMA/0")
    elsewhere = replace(task, states=StateKey(Path("others")))
    assert distil(made(seeds=[2], students=["student"]), elsewhere, Path("alone"), Path("second"))
    both, [second] = load_students(Path("students")), load_students(Path("second"))["student"]
    assert [model.params.seeds for model in both["student"]] == [(1,), (2,)]
    assert torch.equal(both["student"][1].classifier.weight, second.classifier.weight)


def test_a_teacher_of_other_classes_is_refused(made: Make, task: Task, teachers: Path) -> None:
    task.split["class_name"] = task.split["class_name"] + "!"
    with pytest.raises(UserError, match="knows other classes"):
        load_teacher(made(), task, teacher_of(teachers))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0}, "temperature"),
        ({"label_weight": 2}, "label_weight"),
        ({"teacher": "text"}, "sees no picture"),
        ({"students": []}, "each once"),
        ({"students": ["twin", "twin"]}, "each once"),
        ({"temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_wrong_parameters_are_refused(made: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made(**changes)


def test_only_methods_that_distil_may_be_named() -> None:
    assert load_distillation("pma").PARAMS is DistillParams
    with pytest.raises(UserError, match="'irt' has no distillation"):
        load_distillation("irt")


def test_the_defaults_are_the_papers(made: Make) -> None:
    params = made()
    assert (params.teacher, params.temperature, params.label_weight, params.view) == ("PMA", 1.0, 0.0, "same")
    assert all(variant.parts == Parts(True, False, 0) for variant in Pma.variants(params.network))


def test_a_teacher_that_cannot_take_the_students_pictures_is_refused(
    made: Make, task: Task, teachers: Path
) -> None:
    with pytest.raises(UserError, match="5 x 5 cells"):
        load_teacher(made(images={"side": SIDE + 8}), task, teacher_of(teachers))
