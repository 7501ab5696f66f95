"""CPRFL as the loop sees it: pictures through the backbone and a head to one logit per category."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from fieldmark.contract.method import Method, MethodParams, evenly_spaced
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, features_of
from fieldmark.methods.cprfl.model.criteria import make_criterion
from fieldmark.methods.cprfl.model.head import LinearHead, PromptHead, Widths
from fieldmark.methods.cprfl.model.names import MAIN, Parts
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.methods.cprfl.model.thresholds import choose_thresholds
from fieldmark.methods.cprfl.model.variants import CprflVariant, all_variants, prompts_folder
from fieldmark.methods.cprfl.model.vectors import category_vectors
from fieldmark.texts.prompts import read_prompts
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec, require_size

DEFAULT_THRESHOLD = 0.5  # of a category for which none was chosen


class Cprfl(Method[CprflParams, Parts]):
    """A backbone with category prompts, or with a linear classifier, trained on multi-hot targets."""

    name: ClassVar[str] = "cprfl"
    title: ClassVar[str] = "CPRFL: long-tailed multi-label recognition"
    Params: ClassVar[type[MethodParams]] = CprflParams
    targets: Tensor
    thresholds: Tensor

    def __init__(
        self,
        variant: CprflVariant,
        backbone: Backbone,
        class_names: list[str],
        vectors: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> None:
        """Prompts are made of `vectors` (C, m); `targets` (N, C) are those of the training pictures."""
        super().__init__(variant)
        self.backbone, self.class_names = backbone, class_names
        self.head = _build_head(variant, backbone.spec.dim, len(class_names), vectors)
        table = torch.zeros(0, len(class_names)) if targets is None else targets
        self.register_buffer("targets", table, persistent=False)
        self.register_buffer("thresholds", torch.full((len(class_names),), DEFAULT_THRESHOLD))
        self.criterion = make_criterion(variant.parts.loss, self.params, table)
        backbone.requires_grad_(self.params.backbone_lr > 0 and not variant.parts.no_feature_grad)

    @classmethod
    def variants(cls, params: CprflParams) -> list[CprflVariant]:
        """Linear classifiers by their loss, and CPRFL with and without its parts; all have the same budget."""
        return all_variants(params)

    @classmethod
    def build(cls, variant: CprflVariant, task: Task) -> Self:
        """Start from the task's backbone and prompts. Raises UserError without prompts and for a wrong size."""
        params, kind = variant.params, variant.parts.vectors
        prompts = read_prompts(prompts_folder(task.text, params, variant.parts))
        vectors = category_vectors(kind, prompts.embeddings, params.length, params.seed) if kind else None
        targets = task.targets(task.subset("train"), prompts.names)
        backbone = task.load_backbone()
        require_size(backbone, params.images.side)
        return cls(variant, backbone, prompts.names, vectors, torch.from_numpy(targets))

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """Evenly spaced over the training of CPRFL itself; no other variant keeps copies.

        Where the model itself is the moving average of its weights, the last step is there, too: a copy has no average.
        """
        train, kept = self.params.train, self.params.snapshots if self.variant.name == MAIN else 0
        last = (train.steps,) if kept and train.ema else ()
        return (*evenly_spaced(kept, train.steps), *last)

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        """Head and backbone, each at its multiple of the learning rate."""
        head = 1.0 if isinstance(self.head, PromptHead) else self.params.linear_lr
        return [(self.head, head), (self.backbone, self.params.backbone_lr)]

    def frozen(self) -> Iterable[nn.Module]:
        """The backbone, where its learning rate is 0."""
        return [] if self.params.backbone_lr else [self.backbone]

    def feature_source(self) -> Backbone | None:
        """The backbone, where its learning rate is 0."""
        return None if self.params.backbone_lr else self.backbone

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """The variant's loss against the targets of the batch's pictures."""
        loss = self.criterion(self.batch_logits(batch), self.targets[batch["indices"]])
        return {self.variant.parts.loss: loss, "loss": loss}

    def batch_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Return what `logits` does for a batch of pictures or of features."""
        out: Tensor = self.head(features_of(self.backbone, batch).feature_map)
        return out

    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> one logit per category, (B, C); they rank pictures where probabilities saturate."""
        return self.batch_logits({"images": images})

    def probabilities(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> probabilities (B, C); a category is present from its `thresholds` on."""
        return self.logits(images).float().sigmoid()

    def presence_thresholds(self) -> Tensor:
        """Return the probability (C,) from which each category is present."""
        return self.thresholds

    def attention(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> where each category's prompt looks, (B, C, h, w)."""
        if not isinstance(self.head, PromptHead):
            raise RuntimeError("a linear classifier has no prompts")
        return self.head.attention(self.backbone(images).feature_map)

    def finish(self, task: Task) -> None:
        """Choose the thresholds on the validation pictures; without a label among them they stay at 0.5."""
        subset = task.subset("val")
        targets = task.targets(subset, self.class_names)
        if targets.any():
            scores = task.run(self, self.probabilities, subset, self.params.images, "thresholds")
            self.thresholds.copy_(torch.from_numpy(choose_thresholds(scores, targets)))

    def description(self) -> dict[str, Any]:
        """Return the names of the categories, and how to build the backbone again."""
        return {"backbone": asdict(self.backbone.spec), "class_names": self.class_names}

    @classmethod
    def rebuild(
        cls, variant: CprflVariant, description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> Self:
        """Build backbone and head; the category vectors are among the weights, the targets are not needed."""
        backbone = backbone_from_spec(BackboneSpec(**description["backbone"]))
        return cls(variant, backbone, description["class_names"], weights.get("head.vectors"))


def _build_head(variant: CprflVariant, channels: int, classes: int, vectors: Tensor | None) -> nn.Module:
    params, parts = variant.params, variant.parts
    if vectors is None:
        return LinearHead(channels, classes)
    widths = Widths(
        dim=params.dim,
        prompt=round(params.tau * params.dim) if parts.nonlinear else 0,
        heads=params.heads,
        head_dim=params.head_dim,
        mlp_dim=params.mlp_dim,
        depth=params.depth,
        dropout=params.dropout,
    )
    return PromptHead(channels, vectors, widths, parts.no_feature_grad, parts.no_cls_grad)


METHOD = Cprfl
