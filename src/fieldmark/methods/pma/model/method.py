"""PMA as the loop sees it: pictures and phrases in, cross-entropy out; saving and loading."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from fieldmark.base.errors import UserError
from fieldmark.contract.method import Method, MethodParams, Variant
from fieldmark.engine.task import Subset, Task
from fieldmark.engine.trainable import Losses, features_of
from fieldmark.methods.pma.model.attention import SelfAttentionScore, masked_softmax
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.methods.pma.model.phrases import (
    ClipPhrases,
    PhraseEncoder,
    PhraseTable,
    phrase_table,
    read_task_phrases,
    read_task_vectors,
    some_captions,
)
from fieldmark.methods.pma.model.stack import ProgressiveMaskAttention, Stage
from fieldmark.methods.pma.model.variants import Parts, parts_of, title_of
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec, require_size

TABLE = "encoder.table.weight"  # among the weights where phrases are CLIP's

PmaVariant = Variant[PmaParams, Parts]


class TextSummary(nn.Module):
    """What variant text has instead of PMA: the phrases, weighed by SAM, through one layer."""

    def __init__(self, phrase_dim: int, params: PmaParams) -> None:
        super().__init__()
        self.score = SelfAttentionScore(phrase_dim, params.reduction.language, "tanh", params.sam_bias)
        self.reduce = nn.Linear(phrase_dim, params.stage_dim)

    def forward(self, phrases: Tensor, valid: Tensor) -> Tensor:
        """Phrases (B, N, d_l) -> (B, d_s)."""
        weights = masked_softmax(self.score(phrases), valid)
        out: Tensor = self.reduce(torch.einsum("bn,bnd->bd", weights.to(phrases.dtype), phrases))
        return out


class Pma(Method[PmaParams, Parts]):
    """A classifier over backbone, phrases and progressive mask attention, or over some of them."""

    name: ClassVar[str] = "pma"
    title: ClassVar[str] = "PMA: bi-modal progressive mask attention"
    Params: ClassVar[type[MethodParams]] = PmaParams

    class_names: list[str]
    tokens: Tensor  # of the training pictures, as is `spoken`; both exist only while a variant that reads is trained
    spoken: Tensor

    def __init__(
        self,
        variant: PmaVariant,
        backbone: Backbone | None,
        class_names: Sequence[str],
        vocabulary: Sequence[str] = (),
        table: Tensor | None = None,
    ) -> None:
        """`table` (len(vocabulary), m): CLIP's vectors of the phrases in `vocabulary`; None: `vocabulary` has words."""
        super().__init__(variant)
        params, parts = variant.params, variant.parts
        self.class_names, self.vocabulary = list(class_names), list(vocabulary)
        self.backbone = backbone
        if backbone is not None and not params.backbone_lr:
            backbone.requires_grad_(False)
        self.encoder = _encoder(params, len(vocabulary), table) if parts.language else None
        self.summary = None if parts.image else TextSummary(params.phrase_dim, params)
        self.attention = _attention(params, parts, backbone.spec.dim) if backbone and parts.stages else None
        self.classifier = nn.Linear(self._dim, len(class_names))
        self.stage_classifiers: nn.ModuleList | None = None
        if params.aux_stage_loss and parts.stages:
            heads = (nn.Linear(params.stage_dim, len(class_names)) for _ in range(parts.stages))
            self.stage_classifiers = nn.ModuleList(heads)

    @property
    def _dim(self) -> int:
        """The length of z."""
        if self.backbone is None:
            return self.params.stage_dim
        return self.attention.dim if self.attention else self.backbone.spec.dim

    @classmethod
    def variants(cls, params: PmaParams) -> list[PmaVariant]:
        """Every variant that is named, all with the same budget; for a student's block, the student."""
        stages = params.stages
        return [
            PmaVariant(name, title_of(name, stages, params.teacher), params, parts_of(name, stages))
            for name in params.variants
        ]

    @classmethod
    def build(cls, variant: PmaVariant, task: Task) -> Self:
        """Start from the task's backbone and words. Raises UserError for sizes that do not fit."""
        train, params, parts = task.subset("train"), variant.params, variant.parts
        backbone = task.load_backbone() if parts.image else None
        if backbone:
            require_size(backbone, params.images.side)
        if backbone and parts.stages:
            check_feature_map(backbone, params.images.side, parts.stages)
        if not parts.language:
            return cls(variant, backbone, train.class_names)
        vocabulary, table = read_task_phrases(task).vocabulary, None
        if params.phrase_encoder == "clip":
            vocabulary, table = read_task_vectors(task)
        method = cls(variant, backbone, train.class_names, vocabulary, table)
        method.remember(method.phrases_of(task, train))
        return method

    def phrases_of(self, task: Task, subset: Subset) -> PhraseTable:
        """Return the phrases of the pictures of `subset` as this model numbers them."""
        whole = isinstance(self.encoder, ClipPhrases)
        phrases = read_task_phrases(task)
        return phrase_table(phrases, subset, self.vocabulary, self.params.captions_given, whole)

    def remember(self, table: PhraseTable) -> None:
        """Keep the phrases of the training pictures, to be looked up by `indices`; they are not saved."""
        self.register_buffer("tokens", table.tokens, persistent=False)
        self.register_buffer("spoken", table.spoken, persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Eq. 10: cross-entropy on z, and on each stage's vector where aux_stage_loss asks for it."""
        tokens = self._training_tokens(batch["indices"])
        z, stages = self.attend_feature_map(self.batch_feature_map(batch), tokens)
        logits = self.classifier(dropout(z, self.params.dropout, self.training)).float()
        losses = {"cross_entropy": cross_entropy(logits, batch["labels"])}
        if self.stage_classifiers:
            of_stages = [
                cross_entropy(head(stage.vector).float(), batch["labels"])
                for head, stage in zip(self.stage_classifiers, stages, strict=True)
            ]
            losses["stages"] = self.params.aux_stage_loss * torch.stack(of_stages).mean()
        return {**losses, "loss": torch.stack(list(losses.values())).sum()}

    def feature_map(self, images: Tensor) -> Tensor | None:
        """Images (B, 3, H, W) -> the backbone's last feature map (B, C, h, w); None for variant text."""
        return self.batch_feature_map({"images": images})

    def batch_feature_map(self, batch: dict[str, Tensor]) -> Tensor | None:
        """Return what `feature_map` does for a batch of pictures or of features."""
        return None if self.backbone is None else features_of(self.backbone, batch).feature_map.float()

    def attend_feature_map(
        self, feature_map: Tensor | None, tokens: Tensor | None
    ) -> tuple[Tensor, tuple[Stage, ...]]:
        """Return z (B, D) before the classifier, and the stages (none without attention).

        Several texts may share a feature map.
        """
        phrases = valid = None
        if self.encoder is not None:
            if tokens is None:
                raise UserError(
                    f"variant {self.variant.name} reads phrases; for pictures alone load a student or variant vision"
                )
            phrases, valid = self.encoder(tokens)
        if self.summary is not None:
            return self.summary(phrases, valid), ()
        assert feature_map is not None
        if self.attention is None:
            return feature_map.mean((2, 3)), ()
        attended = self.attention(feature_map, phrases, valid)
        return attended.vector, attended.stages

    def logits(self, images: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Class scores (B, classes), without dropout."""
        return self.batch_logits({"images": images}, tokens)

    def batch_logits(self, batch: dict[str, Tensor], tokens: Tensor | None = None) -> Tensor:
        """Return what `logits` does for a batch of pictures or of features."""
        out: Tensor = self.classifier(self.attend_feature_map(self.batch_feature_map(batch), tokens)[0])
        return out.float()

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities (B, classes) of pictures alone. Raises UserError for a variant that reads text."""
        return self.logits(images).softmax(1)

    def presence_thresholds(self) -> None:
        """Return None: each picture has one class."""

    def _training_tokens(self, indices: Tensor) -> Tensor | None:
        """Return what is read in a training step of the pictures at `indices` (B,): word numbers (B, n, w)."""
        if self.encoder is None:
            return None
        tokens, count = self.tokens[indices], self.params.captions
        return tokens if count == "all" else some_captions(tokens, self.spoken[indices], count)

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        """Everything; the backbone at its multiple of the learning rate."""
        return [
            (module, self.params.backbone_lr if module is self.backbone else 1.0)
            for module in self.children()
        ]

    def frozen(self) -> Iterable[nn.Module]:
        """A backbone that does not learn."""
        return [] if self.params.backbone_lr or self.backbone is None else [self.backbone]

    def feature_source(self) -> Backbone | None:
        """A backbone that does not learn; the phrases are looked up by `indices`."""
        return None if self.params.backbone_lr else self.backbone

    @property
    def sees_pictures(self) -> bool:
        """Whether there is a backbone that learns."""
        return self.backbone is not None and self.feature_source() is None

    def description(self) -> dict[str, Any]:
        """Return how to build the backbone again, the classes and the vocabulary."""
        return {
            "backbone": asdict(self.backbone.spec) if self.backbone else None,
            "class_names": self.class_names,
            "vocabulary": self.vocabulary,
        }

    @classmethod
    def rebuild(
        cls, variant: PmaVariant, description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> Self:
        """Build the network without the phrases of the training pictures."""
        spec = description["backbone"]
        backbone = backbone_from_spec(BackboneSpec(**spec)) if spec else None
        return cls(
            variant, backbone, description["class_names"], description["vocabulary"], weights.get(TABLE)
        )


def _encoder(params: PmaParams, words: int, table: Tensor | None) -> PhraseEncoder | ClipPhrases:
    if table is None:
        return PhraseEncoder(words, params.word_dim, params.phrase_dim)
    return ClipPhrases(table, params.phrase_dim)


def _attention(params: PmaParams, parts: Parts, channels: int) -> ProgressiveMaskAttention:
    phrase_dim = params.phrase_dim if parts.language else None
    return ProgressiveMaskAttention(channels, phrase_dim, params.attention(parts))


@torch.no_grad()
def check_feature_map(backbone: Backbone, side: int, stages: int) -> None:
    """Raise UserError when pictures of `side` px give a feature map that this many stages cannot work on."""
    was_training = backbone.training
    images = torch.zeros(1, 3, side, side, device=backbone.mean.device)
    height, width = backbone.eval()(images).feature_map.shape[-2:]
    backbone.train(was_training)
    if height % 2 or width % 2 or height * width // 4 < stages:
        raise UserError(
            f"pma: pictures of {side} px give {backbone.spec.arch} a map of {height} x {width} cells; it takes "
            f"even sides and {stages} blocks of 2x2: change images.side, or the backbone's output_stride"
        )


METHOD = Pma
