"""The `pma:` block of `params.yaml`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from fieldmark.base.blocks import Block
from fieldmark.contract.method import FrozenParams
from fieldmark.methods.pma.model.attention import Relation
from fieldmark.methods.pma.model.stack import MAX_STAGES, AttentionOptions, PartProjection
from fieldmark.methods.pma.model.variants import (
    ABLATIONS,
    TABLE,
    Parts,
    StudentName,
    TrainedName,
    VariantName,
)

PhraseEncoding = Literal["lstm", "clip"]

NONE = "none"  # what params.yaml writes where there is no text, or no CLIP
NO_PHRASES = (
    "pma: variants text and PMA read phrases, and methods.pma.text names none; name some such as phrases/birds, "
    "or set pma.variants to [plain, vision]"
)
NO_VECTORS = (
    "pma: phrase_encoder clip reads vectors of phrases; set phrases.{}.clip to an item of clip_models"
)
DISTILLED = "variants student and twin, and their teacher, are set by distill.pma alone; take them out of pma"


class Reduction(Block):
    """r of the self-attention scores: their inner layer is this many times narrower."""

    vision: int = Field(16, ge=1)
    language: int = Field(4, ge=1)


class PmaParams(FrozenParams):
    """PMA (IEEE TIP 29, 2020). Defaults are the paper's; where it is silent, the most likely reading."""

    renamed: ClassVar[Mapping[str, str]] = {**FrozenParams.renamed, "text_mask_most": "text_mask_max"}

    variants: tuple[VariantName, ...] = ("plain", "vision", "text", "PMA-1", "PMA")
    teacher: TrainedName | None = None  # of a student and its twin, whose block distill.pma makes; else None
    stages: int = Field(3, ge=1, le=MAX_STAGES)  # T of variants vision and PMA
    phrase_encoder: PhraseEncoding = "lstm"  # over words, or CLIP's frozen vectors of phrases and a layer
    word_dim: int = Field(300, ge=1)  # of the LSTM
    phrase_dim: int = Field(512, ge=1)  # d_l, of the LSTM's state or the layer
    stage_dim: int = Field(512, ge=1)  # d_s
    reduction: Reduction = Reduction()
    sam_bias: bool = True
    qrm: Relation = "one"  # one matrix, or two projections
    qrm_scale: bool = False
    part_proj: PartProjection = "conv1x1"
    text_mask_max: int = Field(3, ge=0)  # phrases that a stage may mask, at most
    text_mask_threshold: Literal["uniform"] | float = "uniform"  # tau; uniform: 1 / number of phrases
    share_stage_params: bool = False
    stage_activation: bool = False  # ReLU after the FC that all stages share
    aux_stage_loss: float = Field(0.0, ge=0.0)  # weight of a classifier on each stage's vector
    # Captions whose phrases are read in a training step: all, or this many drawn at random.
    captions: Literal["all"] | int = "all"
    # Only this many captions of a picture exist, in the test too; None: all.
    captions_given: int | None = Field(None, ge=1)
    dropout: float = Field(0.5, ge=0.0, lt=1.0)  # before the classifier
    backbone_lr: float = Field(0.1, ge=0.0)  # multiple of train.lr; 0: frozen, in eval mode

    @model_validator(mode="after")
    def _sound(self) -> "PmaParams":
        if bool(set(self.variants) & set(get_args(StudentName))) != (self.teacher is not None):
            raise ValueError(DISTILLED)
        if self.captions != "all" and self.captions < 1:
            raise ValueError("captions must be all, or a number of at least 1")
        tau = self.text_mask_threshold
        if tau != "uniform" and not 0 <= tau <= 1:
            raise ValueError("text_mask_threshold must be uniform, or a weight from 0 to 1")
        return self

    def unmet(self, text: str, item: Mapping[str, Any]) -> str | None:
        """Variants with language need phrases, and with `phrase_encoder: clip` their vectors too."""
        if self.teacher is not None:
            return DISTILLED
        section, _, name = text.partition("/")
        if not any(TABLE[variant].language for variant in self.variants):
            return None
        if section != "phrases":
            return NO_PHRASES
        lacks_vectors = self.phrase_encoder == "clip" and item.get("clip", NONE) == NONE
        return NO_VECTORS.format(name) if lacks_vectors else None

    def attention(self, parts: Parts) -> AttentionOptions:
        """Return the options of a variant's attention."""
        tau = self.text_mask_threshold
        options = AttentionOptions(
            stages=parts.stages,
            stage_dim=self.stage_dim,
            vision_ratio=self.reduction.vision,
            language_ratio=self.reduction.language,
            sam_bias=self.sam_bias,
            qrm=self.qrm,
            qrm_scale=self.qrm_scale,
            part_proj=self.part_proj,
            mask_max=self.text_mask_max,
            mask_threshold=None if tau == "uniform" else tau,
            share_stage_params=self.share_stage_params,
            stage_activation=self.stage_activation,
        )
        return replace(options, **ABLATIONS[parts.without]) if parts.without else options
