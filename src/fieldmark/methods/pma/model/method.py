"""PMA as the loop sees it: pictures and phrases in, cross-entropy out; saving and loading."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path, write_json
from fieldmark.contract.method import Method, MethodParams
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Subset, Task
from fieldmark.engine.trainable import Losses, ParameterGroup, decay_groups
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
from fieldmark.methods.pma.model.stack import AttentionOptions, ProgressiveMaskAttention, Stage
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec, contiguous, require_size

WEIGHTS, DESCRIPTION = "weights.safetensors", "classes.json"
TABLE = "encoder.table.weight"  # among the weights where phrases are CLIP's


class TextSummary(nn.Module):
    """What variant text has in place of PMA: the phrases, weighed by SAM, through one layer."""

    def __init__(self, phrase_dim: int, params: PmaParams) -> None:
        super().__init__()
        self.score = SelfAttentionScore(phrase_dim, params.reduction.language, "tanh", params.sam_bias)
        self.reduce = nn.Linear(phrase_dim, params.stage_dim)

    def forward(self, phrases: Tensor, valid: Tensor) -> Tensor:
        """Phrases (B, N, d_l) -> (B, d_s)."""
        weights = masked_softmax(self.score(phrases), valid)
        out: Tensor = self.reduce(torch.einsum("bn,bnd->bd", weights.to(phrases.dtype), phrases))
        return out


class Pma(Method):
    """A classifier over backbone, phrases and progressive mask attention, or over some of them."""

    Params: ClassVar[type[MethodParams]] = PmaParams
    title: ClassVar[str] = "PMA: bi-modal progressive mask attention"

    def __init__(
        self,
        params: PmaParams,
        backbone: Backbone | None,
        class_names: Sequence[str],
        vocabulary: Sequence[str] = (),
        table: Tensor | None = None,
    ) -> None:
        """`table` (len(vocabulary), m) has CLIP's vectors of the phrases of `vocabulary`; None: it has words."""
        super().__init__()
        self.params, self.class_names, self.vocabulary = params, list(class_names), list(vocabulary)
        self.taught_by: str | None = None  # the variant that a student learns from
        self.backbone = backbone
        self.encoder: PhraseEncoder | ClipPhrases | None = None
        self.attention: ProgressiveMaskAttention | None = None
        self.summary: TextSummary | None = None
        phrase_dim = params.phrase_dim if params.parts.language else None
        if phrase_dim:
            self.encoder = (
                PhraseEncoder(len(vocabulary), params.word_dim, phrase_dim)
                if table is None
                else ClipPhrases(table, phrase_dim)
            )
        if backbone is None:
            self.summary = TextSummary(params.phrase_dim, params)
            dim = params.stage_dim
        elif options := params.attention:
            self.attention = ProgressiveMaskAttention(backbone.spec.dim, phrase_dim, options)
            dim = self.attention.dim
        else:
            dim = backbone.spec.dim
        if backbone is not None and not params.backbone_lr:
            backbone.requires_grad_(False)
        self.classifier = nn.Linear(dim, len(class_names))
        self.stage_classifiers: nn.ModuleList | None = None
        if params.aux_stage_loss and (options := params.attention):
            heads = (nn.Linear(params.stage_dim, len(class_names)) for _ in range(options.stages))
            self.stage_classifiers = nn.ModuleList(heads)

    @classmethod
    def variants(cls, params: PmaParams) -> Mapping[str, PmaParams]:
        """Each variant alone, all with the same budget."""
        return {name: params.model_copy(update={"variants": (name,)}) for name in params.variants}

    @classmethod
    def build(cls, params: PmaParams, task: Task) -> Self:
        """Start from the task's backbone and words. Raises UserError for a wrong size or a map without 2x2 blocks."""
        train, parts = task.subset("train"), params.parts
        backbone = task.load_backbone() if parts.image else None
        if backbone:
            require_size(backbone, params.images.side)
        if backbone and (options := params.attention):
            check_map(backbone, params.images.side, options)
        if not parts.language:
            return cls(params, backbone, train.class_names)
        vocabulary, table = read_task_phrases(task).vocabulary, None
        if params.phrase_encoder == "clip":
            vocabulary, table = read_task_vectors(task)
        method = cls(params, backbone, train.class_names, vocabulary, table)
        method.remember(method.phrases_of(task, train))
        return method

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen backbone stays in eval mode, its BatchNorms too."""
        super().train(mode)
        if self.backbone is not None and not self.params.backbone_lr:
            self.backbone.eval()
        return self

    def phrases_of(self, task: Task, subset: Subset) -> PhraseTable:
        """Return the phrases of the pictures of `subset` as this model numbers them."""
        whole = isinstance(self.encoder, ClipPhrases)
        found = read_task_phrases(task)
        return phrase_table(found, subset, self.vocabulary, self.params.captions_given, whole)

    def remember(self, table: PhraseTable) -> None:
        """Keep the phrases of the training pictures, to be looked up by `indices`; they are not saved."""
        self.register_buffer("tokens", table.tokens, persistent=False)
        self.register_buffer("spoken", table.spoken, persistent=False)

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Eq. 10: cross-entropy on z, and on each stage's vector where aux_stage_loss asks for it."""
        z, stages = self.attend(batch["images"], self._training_tokens(batch))
        logits = self.classifier(dropout(z, self.params.dropout, self.training)).float()
        losses = {"cross_entropy": cross_entropy(logits, batch["labels"])}
        if self.stage_classifiers:
            own = [
                cross_entropy(head(stage.vector).float(), batch["labels"])
                for head, stage in zip(self.stage_classifiers, stages, strict=True)
            ]
            losses["stages"] = self.params.aux_stage_loss * torch.stack(own).mean()
        return {**losses, "loss": torch.stack(list(losses.values())).sum()}

    def attend(self, images: Tensor, tokens: Tensor | None = None) -> tuple[Tensor, tuple[Stage, ...]]:
        """Return z (B, D) before the classifier, and the stages (none without attention)."""
        return self.attend_map(self.maps(images), tokens)

    def maps(self, images: Tensor) -> Tensor | None:
        """Images (B, 3, H, W) -> the backbone's last map (B, C, h, w); None for variant text."""
        return None if self.backbone is None else self.backbone(images).feature_map.float()

    def attend_map(self, maps: Tensor | None, tokens: Tensor | None) -> tuple[Tensor, tuple[Stage, ...]]:
        """Return the same from a map, which several texts may share."""
        phrases = valid = None
        if self.encoder is not None:
            if tokens is None:
                raise UserError(
                    f"variant {self.params.variants[-1]} reads phrases; for pictures alone load a student "
                    "or variant vision"
                )
            phrases, valid = self.encoder(tokens)
        if self.summary is not None and phrases is not None and valid is not None:
            return self.summary(phrases, valid), ()
        assert maps is not None
        if self.attention is None:
            return maps.mean((2, 3)), ()
        attended = self.attention(maps, phrases, valid)
        return attended.vector, attended.stages

    def logits(self, images: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Class scores (B, classes), without dropout."""
        out: Tensor = self.classifier(self.attend(images, tokens)[0])
        return out.float()

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities (B, classes) of pictures alone. Raises UserError for a variant that reads text."""
        return self.logits(images).softmax(1)

    def _training_tokens(self, batch: dict[str, Tensor]) -> Tensor | None:
        if self.encoder is None:
            return None
        tokens, count = self.tokens[batch["indices"]], self.params.captions  # type: ignore[index]
        if count == "all":
            return tokens
        return some_captions(tokens, self.spoken[batch["indices"]], count)  # type: ignore[index]

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Everything; the backbone at its own rate."""
        groups = []
        for name, module in self.named_children():
            for group in decay_groups(module, params.weight_decay):
                group.lr_scale = self.params.backbone_lr if name == "backbone" else 1.0
                groups.append(group)
        return groups

    def save(self, folder: Path) -> None:
        """Write all weights, how to build the backbone again, the classes and the vocabulary."""
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file(contiguous(self.state_dict()), temporary)
        spec = asdict(self.backbone.spec) if self.backbone else None
        content: dict[str, Any] = {
            "backbone": spec,
            "class_names": self.class_names,
            "vocabulary": self.vocabulary,
            "taught_by": self.taught_by,
        }
        write_json(folder / DESCRIPTION, content)

    @classmethod
    def load(cls, params: PmaParams, folder: Path) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        spec = content["backbone"]
        backbone = backbone_from_spec(BackboneSpec(**spec)) if spec else None
        state = load_file(folder / WEIGHTS)
        table = state.get(TABLE)
        method = cls(params, backbone, content["class_names"], content["vocabulary"], table)
        method.load_state_dict(state)
        method.taught_by = content["taught_by"]
        return method


@torch.no_grad()
def check_map(backbone: Backbone, size: int, options: AttentionOptions) -> None:
    """Raise UserError when pictures of `size` px give a map that the stages cannot work on."""
    was_training = backbone.training
    shape = backbone.eval()(torch.zeros(1, 3, size, size, device=backbone.mean.device)).feature_map
    backbone.train(was_training)
    height, width = shape.shape[-2:]
    if height % 2 or width % 2 or height * width // 4 < options.stages:
        raise UserError(
            f"pma: pictures of {size} px give {backbone.spec.arch} a map of {height} x {width} cells; it takes "
            f"even sides and {options.stages} blocks of 2x2: change images.side, or the backbone's output_stride"
        )
