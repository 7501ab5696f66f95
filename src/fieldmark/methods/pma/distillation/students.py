"""Training the student from its teacher, and its twin from labels alone."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, save_model, seed_folders
from fieldmark.engine.loop import pick_precision
from fieldmark.engine.monitor import Point
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, Trainable
from fieldmark.engine.training import train_on
from fieldmark.methods.pma.distillation.losses import distillation_losses
from fieldmark.methods.pma.distillation.params import DistillParams
from fieldmark.methods.pma.model.method import Pma, PmaVariant, check_feature_map
from fieldmark.runtime.device import pick_device
from fieldmark.vision.backbones import Backbone, digest


class Teacher(nn.Module):
    """A trained, frozen PMA with the phrases of the training pictures (N, n, w); None where it reads no text."""

    tokens: Tensor | None

    def __init__(self, model: Pma, tokens: Tensor | None) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.register_buffer("tokens", tokens, persistent=False)
        self.eval()

    @property
    def backbone(self) -> Backbone | None:
        """What the teacher sees pictures with."""
        return self.model.backbone

    @torch.no_grad()
    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (B, C) for a training batch of pictures, or of features of the teacher's backbone."""
        tokens = None if self.tokens is None else self.tokens[batch["indices"]]
        return self.model.batch_logits(batch, tokens)


class KeptAnswers(nn.Module):
    """The logits (N, C) that a teacher gave once for the N training pictures."""

    logits: Tensor
    backbone: Backbone | None = None  # it looks at no picture

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits, persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (B, C) for a training batch."""
        return self.logits[batch["indices"]]


class Distillation(Trainable):
    """The student with what it learns from: a teacher, or the answers that a teacher gave once.

    A batch may carry the features of the teacher's backbone. A student whose backbone is frozen, too, reads the same
    features where the two backbones are alike, or where there are answers only; else it sees the pictures beside them.
    """

    def __init__(self, student: Pma, params: DistillParams, teacher: Teacher | KeptAnswers) -> None:
        super().__init__()
        self.student, self.params, self.teacher = student, params, teacher
        own, asked = student.feature_source(), teacher.backbone
        self.reads_features = own is not None and (asked is None or digest(own) == digest(asked))

    def feature_source(self) -> Backbone | None:
        """The backbone of the teacher that is asked at every step, or a frozen one of the student."""
        return self.student.feature_source() if self.reads_features else self.teacher.backbone

    @property
    def sees_pictures(self) -> bool:
        """Whether the student needs the pictures."""
        return not self.reads_features

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Eq. 11, mixed with cross-entropy on the labels where the parameters ask for it."""
        seen = batch if self.reads_features else {"images": batch["images"]}
        z, _ = self.student.attend_feature_map(self.student.batch_feature_map(seen), None)
        logits = self.student.classifier(dropout(z, self.params.dropout, self.training))
        target: Tensor = self.teacher(batch)
        return distillation_losses(
            logits, target, batch["labels"], self.params.temperature, self.params.label_weight
        )

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        """Only the student is trained."""
        return self.student.rates()

    def frozen(self) -> Iterable[nn.Module]:
        """The teacher: its statistics and dropout do not depend on the student's batch."""
        return [self.teacher]


def distil(params: DistillParams, task: Task, teachers: Path, folder: Path) -> dict[str, list[Point]]:
    """Train each student from each seed; return the training curves by `<student>/<seed>`.

    The models are saved to folders of these names below `folder`. `teachers` holds the trained variants: a student of
    the i-th seed learns from the teacher of the i-th seed. A student that an earlier, killed call completed is taken
    from its last state. Raises UserError when the teacher knows other classes than the task.
    """
    curves = {}
    params = params.for_pictures(len(task.subset("train")))
    for variant in Pma.variants(params.network):
        pairs = zip(variant.by_seed(), seed_folders(teachers / params.teacher), strict=True)
        for own, teacher in pairs:
            place = f"{own.name}/{own.params.seed}"
            curves[place] = _train_student(own, params, task, teacher, folder / place)
    return curves


def _train_student(
    variant: PmaVariant, params: DistillParams, task: Task, teacher: Path, folder: Path
) -> list[Point]:
    """Build, train and save one student; return its curve."""
    recipe, run = variant.params.seeded, f"distill-pma/{variant.name}/{variant.params.seed}"
    torch.manual_seed(recipe.seed)
    student = Pma.build(variant, task)
    student.precision = pick_precision(recipe, pick_device(task.runtime))
    learner: Trainable = student
    if variant.name == "student":
        learner = _taught(student, params, load_teacher(params, task, teacher), task)
    curve = train_on(learner, params.images, recipe, task, run, views=params.kept_views)
    save_model(student, folder)
    return curve


def load_teacher(params: DistillParams, task: Task, folder: Path) -> Teacher:
    """Read a teacher and the phrases of the training pictures. Raises UserError when it cannot work on them."""
    model = load_model(folder)
    assert isinstance(model, Pma)
    train = task.subset("train")
    if model.class_names != train.class_names:
        raise UserError(
            f"distill.pma: teacher {params.teacher} knows other classes than split {params.split}; train it on that"
        )
    if model.backbone and model.attention:
        check_feature_map(model.backbone, params.images.side, model.variant.parts.stages)
    return Teacher(model, model.phrases_of(task, train).tokens if model.encoder else None)


def teacher_logits(teacher: Teacher, params: DistillParams, task: Task) -> Tensor:
    """Return the teacher's logits (N, C) for every training picture in the geometry of the test."""
    logits = task.run_batches(teacher, teacher, task.subset("train"), params.images, "teacher")
    return logits.clone()  # what inference mode made cannot take part in training


def _taught(student: Pma, params: DistillParams, teacher: Teacher, task: Task) -> Distillation:
    """Keep the teacher's answers where it sees a picture in one form only; else ask it at every step."""
    if params.fixed:
        return Distillation(student, params, KeptAnswers(teacher_logits(teacher, params, task)))
    return Distillation(student, params, teacher)
