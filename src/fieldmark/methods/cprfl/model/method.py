"""CPRFL as the loop sees it: pictures through the backbone and a head to one logit a category."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from fieldmark.base.files import atomic_path, write_json
from fieldmark.contract.method import Method, MethodParams
from fieldmark.datasets.data.roles.multilabel import multi_hot
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, ParameterGroup, decay_groups
from fieldmark.methods.cprfl.model.head import LinearHead, PromptHead, Widths
from fieldmark.methods.cprfl.model.losses import (
    Balance,
    DistributionBalancedLoss,
    asymmetric_loss,
    focal_loss,
)
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.methods.cprfl.model.thresholds import choose_thresholds
from fieldmark.methods.cprfl.model.vectors import category_vectors
from fieldmark.runtime.inference import run_over
from fieldmark.texts.prompts import read_prompts
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec, contiguous, require_size

WEIGHTS, DESCRIPTION = "weights.safetensors", "classifier.json"


class Cprfl(Method):
    """A backbone with category prompts, or with a linear classifier, trained on multi-hot targets."""

    Params: ClassVar[type[MethodParams]] = CprflParams
    title: ClassVar[str] = "CPRFL: long-tailed multi-label recognition"
    targets: Tensor
    thresholds: Tensor

    def __init__(
        self,
        params: CprflParams,
        backbone: Backbone,
        class_names: list[str],
        vectors: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> None:
        """`vectors` (C, m) are what prompts are made of; `targets` (N, C) are those of the training pictures."""
        super().__init__()
        self.params, self.parts, self.backbone, self.class_names = params, params.parts, backbone, class_names
        self.head = _build_head(params, backbone.spec.dim, len(class_names), vectors)
        table = torch.zeros(0, len(class_names)) if targets is None else targets
        self.register_buffer("targets", table, persistent=False)
        self.register_buffer("thresholds", torch.full((len(class_names),), 0.5))
        balance = Balance(**params.balance.model_dump(), focal=params.focal_gamma)
        self.balanced = DistributionBalancedLoss(table.sum(0), max(1, len(table)), balance)
        backbone.requires_grad_(params.backbone_lr > 0 and not self.parts.no_feature_grad)
        self.train(self.training)

    @classmethod
    def variants(cls, params: CprflParams) -> Mapping[str, CprflParams]:
        """Each variant alone; all have the same budget."""
        return {name: params.model_copy(update={"variants": (name,)}) for name in params.variants}

    @classmethod
    def build(cls, params: CprflParams, task: Task) -> Self:
        """Start from the task's backbone and prompts. Raises UserError without prompts and for a wrong size."""
        prompts = read_prompts(task.text)
        kind = params.parts.vectors
        embeddings, seed = prompts.embeddings, params.train.seed
        vectors = category_vectors(kind, embeddings, params.length, seed) if kind else None
        targets = multi_hot(task.manifest, task.subset("train").frame, prompts.names)
        backbone = task.load_backbone()
        require_size(backbone, params.images.side)
        return cls(params, backbone, prompts.names, vectors, torch.from_numpy(targets))

    def train(self, mode: bool = True) -> Self:
        """Set the mode; a frozen backbone stays in eval mode, its BatchNorms too."""
        super().train(mode)
        if not self.params.backbone_lr:
            self.backbone.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """The variant's loss against the targets of the batch's pictures."""
        loss = self._loss(self.logits(batch["images"]), self.targets[batch["indices"]])
        return {self.parts.loss: loss, "loss": loss}

    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> one logit a category, (B, C); they rank pictures where probabilities saturate."""
        out: Tensor = self.head(self.backbone(images).feature_map)
        return out

    def probabilities(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> probabilities (B, C); a category is present from its `thresholds` on."""
        return self.logits(images).float().sigmoid()

    def attention(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> where each category's prompt looks, (B, C, h, w)."""
        if not isinstance(self.head, PromptHead):
            raise RuntimeError("a linear classifier has no prompts")
        return self.head.attention(self.backbone(images).feature_map)

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Head and backbone, each with and without weight decay, at their own multiples of the rate."""
        head = 1.0 if isinstance(self.head, PromptHead) else self.params.linear_lr
        groups = []
        for module, scale in ((self.head, head), (self.backbone, self.params.backbone_lr)):
            for group in decay_groups(module, params.weight_decay):
                group.lr_scale = scale
                groups.append(group)
        return groups

    @property
    def trainable(self) -> int:
        """How many weights are trained."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def finish(self, task: Task) -> None:
        """Choose the thresholds on the validation pictures; without a label among them they stay at 0.5."""
        subset = task.subset("val")
        targets = multi_hot(task.manifest, subset.frame, self.class_names)
        if targets.any():
            found = run_over(self, self.probabilities, task, subset, self.params.images, "thresholds")
            self.thresholds.copy_(torch.from_numpy(choose_thresholds(found, targets)))

    def save(self, folder: Path) -> None:
        """Write weights, category vectors and thresholds, the names, and how to build the backbone again."""
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file(contiguous(self.state_dict()), temporary)
        spec = asdict(self.backbone.spec)
        write_json(folder / DESCRIPTION, {"backbone": spec, "class_names": self.class_names})

    @classmethod
    def load(cls, params: CprflParams, folder: Path) -> Self:
        """Read what `save` wrote."""
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        state = load_file(folder / WEIGHTS)
        backbone = backbone_from_spec(BackboneSpec(**description["backbone"]))
        method = cls(params, backbone, description["class_names"], state.get("head.vectors"))
        method.load_state_dict(state)
        return method

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.parts.loss == "BCE":
            return binary_cross_entropy_with_logits(logits.float(), targets)
        if self.parts.loss == "focal":
            return focal_loss(logits, targets, self.params.focal_gamma)
        if self.parts.loss == "DB":
            out: Tensor = self.balanced(logits, targets)
            return out
        return asymmetric_loss(logits, targets, **self.params.asymmetric.model_dump())


def _build_head(params: CprflParams, channels: int, classes: int, vectors: Tensor | None) -> nn.Module:
    parts = params.parts
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
