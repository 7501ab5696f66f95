"""The item `pma` of `distill:` in `params.yaml`."""

from typing import Literal

from pydantic import Field, model_validator

from fieldmark.contract.method import Recipe, each_once
from fieldmark.engine.wiring import DistillWiring
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.methods.pma.model.variants import TABLE, StudentName, TrainedName


class DistillParams(DistillWiring, Recipe):
    """Distillation of PMA, eq. 11. Defaults are the paper's: soft targets alone, at temperature 1."""

    teacher: TrainedName = "PMA"
    students: tuple[StudentName, ...] = ("student", "twin")
    temperature: float = Field(1.0, gt=0.0)
    label_weight: float = Field(0.0, ge=0.0, le=1.0)  # lambda: fraction of cross-entropy with the labels
    view: Literal["same", "test"] = "same"  # the teacher sees the student's augmented picture, or the test's
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    backbone_lr: float = Field(0.1, ge=0.0)  # multiple of train.lr; 0: frozen, in eval mode
    # Fixed views of each training picture, in which all students see it; the features of a frozen backbone, such as
    # the teacher's, are computed once. None: a fresh view each step.
    views: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _sound(self) -> "DistillParams":
        each_once(self.students, "students")
        if not TABLE[self.teacher].image:
            raise ValueError(f"teacher {self.teacher} sees no picture")
        return self

    @property
    def network(self) -> PmaParams:
        """The students' block of PMA: they are variants of it without text and without attention."""
        return PmaParams(
            variants=self.students,
            teacher=self.teacher,
            dropout=self.dropout,
            backbone_lr=self.backbone_lr,
            images=self.images,
            train=self.train,
            seeds=self.seeds,
        )

    @property
    def kept_views(self) -> int | None:
        """In how many views all students see a picture; None, a fresh one each step, also where nobody reads features.

        The student and its twin are compared: one must not see more than the other.
        """
        asked = "student" in self.students and not self.fixed
        return self.views if asked or not self.backbone_lr else None

    @property
    def fixed(self) -> bool:
        """Whether the teacher sees a training picture in one form only, so that its answer can be kept."""
        images = self.images
        still = images.crop == "centre" and not any(
            (images.flip, images.jitter, images.erase, images.cutout, images.augment)
        )
        return self.view == "test" or still
