"""Training the student from its teacher, and its twin from labels alone."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, save_model
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, ParameterGroup, Trainable
from fieldmark.engine.training import train_on
from fieldmark.methods.pma.distillation.losses import distillation_losses
from fieldmark.methods.pma.distillation.params import DistillParams
from fieldmark.methods.pma.model.method import Pma, check_map
from fieldmark.runtime.inference import run_batches


class Teacher(nn.Module):
    """A trained, frozen PMA with the phrases of the training pictures; it never leaves eval mode."""

    tokens: Tensor | None

    def __init__(self, model: Pma, tokens: Tensor | None) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.register_buffer("tokens", tokens, persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: statistics and dropout of a teacher do not depend on the student's batch."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (B, C) for a training batch."""
        return self.model.logits(batch["images"], self._tokens(batch["indices"]))

    def _tokens(self, indices: Tensor) -> Tensor | None:
        return None if self.tokens is None else self.tokens[indices.to(self.tokens.device)]


class Distillation(Trainable):
    """The student with what it learns from: a teacher, or the logits (N, C) it gave once."""

    kept: Tensor | None

    def __init__(
        self, student: Pma, params: DistillParams, teacher: Teacher | None = None, kept: Tensor | None = None
    ) -> None:
        super().__init__()
        if (teacher is None) == (kept is None):
            raise ValueError("give a teacher, or the logits it gave")
        self.student, self.params, self.teacher = student, params, teacher
        self.register_buffer("kept", kept, persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Eq. 11, with a share of the labels where the parameters ask for it."""
        z, _ = self.student.attend(batch["images"])
        logits = self.student.classifier(dropout(z, self.params.dropout, self.training))
        target = self.teacher(batch) if self.teacher else self.kept[batch["indices"]]  # type: ignore[index]
        return distillation_losses(
            logits, target, batch["labels"], self.params.temperature, self.params.label_weight
        )

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Only the student's."""
        return self.student.parameter_groups(params)


def distil(
    params: DistillParams, task: Task, teachers: Path, folder: Path, root: Path, key: str
) -> dict[str, list[Point]]:
    """Train each student and save it to `folder/<name>`; return the training curves.

    `teachers` holds the trained variants. A student that an earlier, killed call completed is taken from its
    last state under `root`. Raises UserError when the teacher knows other classes than the task.
    """
    curves: dict[str, list[Point]] = {}
    for name in params.students:
        network = params.network
        torch.manual_seed(network.train.seed)
        student = Pma.build(network, task)
        learner: Trainable = student
        if name == "student":
            learner = _taught(student, params, task, load_teacher(params, task, teachers))
            student.taught_by = params.teacher
        checkpoints = CheckpointFolder(root, f"distill-pma-{name}", key)
        curves[name] = train_on(
            learner, params.images, params.train, task, checkpoints, f"distill-pma-{name}"
        )
        save_model(student, "pma", network, folder / name)
    return curves


def load_teacher(params: DistillParams, task: Task, teachers: Path) -> Teacher:
    """Read the teacher and the phrases of the training pictures. Raises UserError when it cannot work on them."""
    model = load_model(teachers / params.teacher)
    assert isinstance(model, Pma)
    train = task.subset("train")
    if model.class_names != train.class_names:
        raise UserError(
            f"distill.pma: teacher {params.teacher} knows other classes than split {params.split}; train it on that"
        )
    if model.backbone and model.attention:
        check_map(model.backbone, params.images.side, model.attention.options)
    if model.encoder is None:
        return Teacher(model, None)
    return Teacher(model, model.phrases_of(task, train).tokens)


def teacher_logits(teacher: Teacher, params: DistillParams, task: Task) -> Tensor:
    """Return the teacher's logits (N, C) for every training picture in the geometry of the test."""
    logits = run_batches(teacher, teacher, task, task.subset("train"), params.images, "teacher")
    return logits.clone()  # what inference mode made cannot take part in training


def _taught(student: Pma, params: DistillParams, task: Task, teacher: Teacher) -> Distillation:
    """Keep the teacher's answers where it sees a picture in one form only; else ask it at every step."""
    if params.fixed:
        return Distillation(student, params, kept=teacher_logits(teacher, params, task))
    return Distillation(student, params, teacher)
