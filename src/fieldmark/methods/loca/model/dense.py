"""The block `loca.dense`: how encoders are judged by dense prediction."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from fieldmark.base.blocks import Block
from fieldmark.datasets.data.batches.transforms import ImageParams, WindowParams
from fieldmark.engine.params import TrainParams
from fieldmark.methods.loca.model.tuning import TuneParams


class ProbeParams(Block):
    """How a linear decoder is trained on frozen features, with AdamW and a cosine schedule.

    Its length is counted in passes over the labelled pictures, so that a probe on few of them is trained as far as one
    on all.
    """

    renamed: ClassVar[Mapping[str, str]] = {"steps": "passes (over the labelled pictures)"}

    passes: float = Field(60.0, gt=0.0)
    batch_size: int = Field(32, ge=1)
    lr: float = Field(0.1, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    seed: int = Field(0, ge=0)

    def recipe(self, pictures: int) -> TrainParams:
        """Return the training recipe for so many labelled pictures."""
        batch_size = min(self.batch_size, pictures)
        steps = max(1, math.ceil(self.passes * pictures / batch_size))
        return TrainParams(
            **self.model_dump(exclude={"passes", "batch_size"}),
            steps=steps,
            batch_size=batch_size,
            schedule="cosine",
        )


class DenseParams(Block):
    """How backbones are judged by dense prediction.

    `fractions` of the labelled training pictures train the probe, and `tuned_fractions` backbone and decoder; each
    fraction contains the smaller ones.
    """

    images: ImageParams = ImageParams(scale=(0.5, 1.0))  # fine-tuning; the probe sees whole pictures
    windows: WindowParams | None = None  # of fine-tuning, in place of `images`: crops, then a sliding window
    # The loss looks at every `loss_stride`-th pixel along a side, scores look at all; `windows` has one of its own.
    loss_stride: int = Field(8, ge=1)
    fractions: tuple[float, ...] = (0.05, 0.25, 1.0)
    probe: ProbeParams = ProbeParams()
    finetune: TuneParams | None = None  # None: no fine-tuning
    # Names of the variants that are fine-tuned; None: all of them. What was trained elsewhere always is.
    tuned: tuple[str, ...] | None = ("random", "supervised", "LOCA")
    tuned_fractions: tuple[float, ...] = (1.0,)
    decoder: Literal["probe", "new"] = (
        "probe"  # what fine-tuning's decoder begins as; new: random, as in Segmenter
    )
    drop_path: float = Field(
        0.0, ge=0.0, lt=1.0
    )  # of fine-tuning: stochastic depth in a transformer's last block

    @field_validator("images")
    @classmethod
    def _whole(cls, images: ImageParams) -> ImageParams:
        if images.resize is not None or images.shape != "square" or images.crop != "random_resized":
            raise ValueError(
                "dense prediction sees whole pictures: crop random_resized, shape square, no resize"
            )
        if images.erase or images.cutout or images.augment:
            raise ValueError("erase, cutout and augment change pictures without their masks: leave all at 0")
        return images

    @field_validator("fractions", "tuned_fractions")
    @classmethod
    def _rising(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not fractions or list(fractions) != sorted({f for f in fractions if 0 < f <= 1}):
            raise ValueError("fractions must be numbers above 0 and up to 1, in rising order")
        return fractions
