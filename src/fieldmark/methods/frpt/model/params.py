"""The `frpt:` block of `params.yaml`."""

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from fieldmark.contract.method import FrozenParams
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.vision.pooling import Pooling

VariantName = Literal[
    "plain",
    "frozen",
    "sampled",
    "finetune",
    "DPP",
    "CAH",
    "activation",
    "box",
    "attention",
    "FRPT",
    "release",
]


class FrptParams(FrozenParams):
    """FRPT (arXiv 2207.14465). Defaults are the paper's, or the released sampler's where it is silent."""

    renamed: ClassVar[Mapping[str, str]] = {
        **FrozenParams.renamed,
        "shot_steps": "steps_per_shot (the steps divided by the shots)",
    }

    variants: tuple[VariantName, ...] = ("frozen", "finetune", "DPP", "CAH", "attention", "FRPT")
    stage: int = Field(1, ge=1)  # the prompt looks at the feature map after this block
    # Of the content parsing; the paper: half the feature map's width or more.
    kernel_size: int = Field(31, ge=1)
    grid: int = Field(31, ge=2)  # cells along a side to which the saliency map is brought before sampling
    fwhm: float = Field(13.0, gt=0.0)  # of the distance kernel, in cells
    padding: int = Field(30, ge=0)  # replicated cells on each side; also the reach of the distance kernel
    reduction: int = Field(8, ge=1)  # r of the channel attention
    pooling: Pooling = "average"
    # Pixels per cell of the last feature map; None: as the backbone has it.
    output_stride: Literal[8, 16] | None = None
    # Whether the blocks with a stride less are dilated, so that weights meet the neighbours they were trained on. The
    # released code dilates nothing.
    dilate: bool = True
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)
    prompt_lr: float = Field(1.0, gt=0.0)  # multiple of train.lr for the prompt
    backbone_lr: float = Field(1.0, gt=0.0)  # multiple of train.lr for the backbone of variant finetune
    # How the finer pictures are loaded from which the prompt makes those of `images`; None: it warps `images`.
    source: ImageParams | None = None
    shots: tuple[int, ...] = ()  # finetune and FRPT again, with this many training pictures per class
    # Steps of the variants that `shots` adds, by picture of a class: each size then makes as many passes. None beside
    # train.passes: all sizes make as many passes as all pictures get.
    steps_per_shot: float | None = Field(None, gt=0.0)
    snapshots: int = Field(0, ge=0)  # copies of finetune and FRPT kept during training, for recall over steps

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError("kernel_size must be odd: the kernel has a middle")
        if self.source is None and "sampled" in self.variants:
            raise ValueError(
                "variant sampled needs source: a picture sampled evenly at its own size is itself"
            )
        if self.output_stride is None and "plain" in self.variants:
            raise ValueError("variant plain needs output_stride: without it, it is variant frozen")
        if self.output_stride is None and not self.dilate:
            raise ValueError("dilate: false needs output_stride: without it nothing is dilated")
        if len(set(self.shots)) < len(self.shots) or min(self.shots, default=1) < 1:
            raise ValueError("shots must be whole numbers above 0, each once")
        if self.shots and (self.steps_per_shot is None) == (self.train.passes is None):
            raise ValueError(
                "shots need steps_per_shot beside train.steps, and none (null) beside train.passes: "
                "few pictures then make as many passes as all"
            )
        if self.pooling in ("cls", "cls_distilled"):
            raise ValueError("pooling must be average, max or gem: the head works on a map")
        return self

    @property
    def cuts_to_boxes(self) -> bool:
        """Whether a variant sees pictures cut to their annotated boxes."""
        return "box" in self.variants

    def for_pictures(self, count: int) -> Self:
        """Return the block with all lengths in steps; for a variant with few pictures per class `count` are these."""
        found = super().for_pictures(count)
        if self.train.passes is None or len(self.shots) != 1:
            return found
        return found.model_copy(update={"steps_per_shot": found.train.steps / self.shots[0]})
