"""Parameters of training, shared by every method, and the runtime settings that change no result."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from fieldmark.base.blocks import Block
from fieldmark.datasets.data.transforms import ImageParams
from fieldmark.vision.backbones import NetworkParams
from fieldmark.vision.pooling import Pooling


class TrainParams(Block):
    """How a method is trained. Everything here changes the result."""

    steps: int = Field(ge=0)  # optimiser steps
    batch_size: int = Field(64, ge=1)
    images_per_class: int | None = Field(None, ge=1)  # None: plain shuffling; else P x K batches
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)  # sgd only
    schedule: Literal["constant", "cosine", "onecycle", "drops"] = "constant"
    final: float = Field(0.0, ge=0, lt=1)  # last rate as a fraction of lr; schedules cosine and onecycle
    drop: float = Field(0.9, gt=0, le=1)  # factor of a drop; schedule drops only
    drop_every: int | None = Field(None, ge=1)  # steps from drop to drop; schedule drops only
    rise: float = Field(0.3, gt=0, lt=1)  # part of training in which the rate rises; schedule onecycle only
    warmup_steps: int = Field(0, ge=0)
    accumulate: int = Field(1, ge=1)  # micro-batches per step
    clip_norm: float | None = Field(None, gt=0)
    ema: float | None = Field(None, gt=0, lt=1)  # decay per step of the averaged weights; None: off
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16 on a processor without it (x86 before AVX512): fp32
    freeze_batchnorm: bool = False
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _sound(self) -> "TrainParams":
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be cut into {self.accumulate} equal parts (accumulate)"
            )
        if self.batch_size % (self.images_per_class or 1):
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of {self.images_per_class} (images_per_class)"
            )
        if (self.schedule == "drops") != (self.drop_every is not None):
            raise ValueError("schedule drops and drop_every go together: give both or neither")
        return self


class RuntimeParams(Block):
    """Where and how to run. Nothing here changes a result, so no stage depends on it."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(1, ge=1)  # processes, one device each
    nodes: int = Field(1, ge=1)
    workers: int = Field(1, ge=0)  # loader processes per device
    checkpoint_seconds: float = Field(30.0, ge=0)


class ProbeParams(Block):
    """How a linear decoder is trained on frozen features, with AdamW and a cosine schedule."""

    steps: int = Field(200, ge=1)
    batch_size: int = Field(32, ge=1)
    lr: float = Field(0.1, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0)

    @property
    def schedule(self) -> TrainParams:
        """The same, in the words of the learning rate schedule."""
        return TrainParams(steps=self.steps, lr=self.lr, schedule="cosine")


class DenseParams(Block):
    """How backbones are judged by dense prediction.

    `fractions` of the labelled training pictures train the probe, each less containing the fewer ones.
    """

    images: ImageParams = ImageParams(scale=(0.5, 1.0))  # fine-tuning; the probe sees whole pictures
    loss_stride: int = Field(8, ge=1)  # pixels from one the loss looks at to the next; scores look at all
    fractions: tuple[float, ...] = (0.05, 0.25, 1.0)
    probe: ProbeParams = ProbeParams()
    finetune: TrainParams | None = None  # None: no fine-tuning

    @field_validator("images")
    @classmethod
    def _whole(cls, images: ImageParams) -> ImageParams:
        if images.resize is not None or images.shape != "square" or images.crop != "random_resized":
            raise ValueError(
                "dense prediction sees whole pictures: crop random_resized, shape square, no resize"
            )
        return images

    @field_validator("fractions")
    @classmethod
    def _rising(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not fractions or list(fractions) != sorted({f for f in fractions if 0 < f <= 1}):
            raise ValueError("fractions must be numbers above 0 and up to 1, in rising order")
        return fractions


class BackboneParams(NetworkParams):
    """One item of `backbones:`: a network, and either its weights or how to train it on a split."""

    dataset: str  # the split's
    split: str  # trained on its "train" pictures when no weights are named; scored on its "test" pictures
    images: ImageParams
    pooling: Pooling = "average"
    train: TrainParams | None = None
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _weights_or_training(self) -> "BackboneParams":
        if (self.weights is None) == (self.train is None):
            raise ValueError("name either weights (a file, or 'library') or a train block")
        return self
