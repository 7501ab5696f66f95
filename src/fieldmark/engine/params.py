"""Parameters of training, shared by everything that is trained."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fieldmark.base.blocks import Block

Precision = Literal["fp32", "bf16"]


class TrainRecipe(Block):
    """How something is trained, whatever its seed. Everything here changes the result."""

    steps: int = Field(
        ge=0
    )  # optimiser steps; 1 where `passes` says it, until the number of pictures is known
    passes: float | None = Field(None, gt=0)  # over the training pictures, in place of `steps`
    batch_size: int = Field(64, ge=1)
    images_per_class: int | None = Field(None, ge=1)  # None: plain shuffling; else P x K batches
    # class_aware: classes take turns, rare or not, and a class's pictures take turns within it; for several labels, too
    sampling: Literal["shuffled", "class_aware"] = "shuffled"
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)  # sgd only
    schedule: Literal["constant", "cosine", "onecycle", "drops", "poly"] = "constant"
    final: float = Field(0.0, ge=0, lt=1)  # last rate as a fraction of lr; schedules cosine, onecycle, poly
    power: float = Field(0.9, gt=0)  # of what is left of training; schedule poly only
    drop: float = Field(0.9, gt=0, le=1)  # factor of a drop; schedule drops only
    drop_every: int | None = Field(None, ge=1)  # steps from drop to drop; schedule drops only
    drop_passes: float | None = Field(None, gt=0)  # in place of `drop_every`
    rise: float = Field(0.3, gt=0, lt=1)  # part of training in which the rate rises; schedule onecycle only
    warmup_steps: int = Field(0, ge=0)
    warmup_passes: float | None = Field(None, gt=0)  # in place of `warmup_steps`
    accumulate: int = Field(1, ge=1)  # micro-batches per step
    clip_norm: float | None = Field(None, gt=0)
    ema: float | None = Field(None, gt=0, lt=1)  # decay per step of the weights' moving average; None: off
    precision: Precision = "fp32"  # bf16 on a processor without it (x86 before AVX512): fp32
    freeze_batchnorm: bool = False
    compile: bool = False  # the network and its losses by torch.compile; a minute first, and another rounding
    fused: bool = False  # the optimiser in one kernel; CUDA only, elsewhere as usual
    tf32: bool = False  # products of fp32 in TF32 (10 bits); CUDA only
    channels_last: bool = False  # kernels of convolutions with channels last: faster with bf16 on CUDA

    @model_validator(mode="before")
    @classmethod
    def _length(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("passes") is None:
            return given
        if given.get("steps") is not None:
            raise ValueError("give steps or passes, not both; null takes out what is not meant")
        return {**given, "steps": 1}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.warmup_passes is not None and (self.passes is None or self.warmup_steps):
            raise ValueError("warmup_passes go with passes, and in place of warmup_steps")
        if self.drop_passes is not None and (self.passes is None or self.drop_every):
            raise ValueError("drop_passes go with passes, and in place of drop_every")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be cut into {self.accumulate} equal parts (accumulate)"
            )
        if self.batch_size % (self.images_per_class or 1):
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of {self.images_per_class} (images_per_class)"
            )
        if self.sampling == "class_aware" and self.images_per_class:
            raise ValueError("sampling class_aware draws classes one by one: set images_per_class to null")
        if (self.schedule == "drops") != (self.drop_every is not None or self.drop_passes is not None):
            raise ValueError(
                "schedule drops goes together with drop_every or drop_passes: give both or neither"
            )
        return self

    def for_pictures(self, count: int) -> Self:
        """Return the recipe in steps, for so many training pictures. One of no steps stays so."""
        if self.passes is None:
            return self
        update: dict[str, int | None] = {
            "passes": None,
            "warmup_passes": None,
            "warmup_steps": self.steps_in(self.warmup_passes, count),
            "drop_passes": None,
        }
        if self.steps:
            update["steps"] = max(1, self.steps_in(self.passes, count))
        if self.drop_passes:
            update["drop_every"] = max(1, self.steps_in(self.drop_passes, count))
        return self.model_copy(update=update)

    def steps_in(self, passes: float | None, count: int) -> int:
        """Return how many steps make so many passes over `count` pictures; None: no step."""
        return round((passes or 0.0) * count / self.batch_size)

    def with_seed(self, seed: int) -> "TrainParams":
        """Return the recipe with a seed, which is all that the loop reads."""
        return TrainParams(**self.model_dump(), seed=seed)


class TrainParams(TrainRecipe):
    """A recipe and its seed: from the same ones, the same pictures give the same weights."""

    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _in_steps(self) -> Self:
        if self.passes is not None:
            raise ValueError("only the `train` of a method or of students counts in passes; give steps here")
        return self
