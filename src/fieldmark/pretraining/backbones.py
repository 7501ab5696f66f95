"""Where backbones come from: trained with a linear classifier on a labelled split, or taken with their weights."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fieldmark.base.files import atomic_path
from fieldmark.engine.monitor import Point
from fieldmark.engine.precision import full_precision
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, Trainable
from fieldmark.engine.training import train_on
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.vision.backbones import Backbone, contiguous, create_backbone
from fieldmark.vision.pooling import Pooling, pool, require_tokens
from fieldmark.vision.reading import read_tensors

HEAD = "classifier.safetensors"  # beside the backbone's weights, where it was trained here


class Classifier(Trainable):
    """Images (B, 3, H, W) -> logits (B, C)."""

    def __init__(
        self, backbone: Backbone, classes: int, pooling: Pooling, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.backbone, self.pooling, self.label_smoothing = backbone, pooling, label_smoothing
        self.head = nn.Linear(backbone.spec.dim, classes)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Cross-entropy against the batch's labels."""
        logits = full_precision(self.logits(batch["images"]))
        loss = cross_entropy(logits, batch["labels"], label_smoothing=self.label_smoothing)
        return {"cross_entropy": loss, "loss": loss}

    def logits(self, images: Tensor) -> Tensor:
        """Class scores (B, C)."""
        out: Tensor = self.head(pool(self.backbone(images), self.pooling))
        return out


def save_head(model: Classifier, folder: Path) -> None:
    """Write the linear layer beside the backbone's weights, so that it can be scored later."""
    with atomic_path(folder / HEAD) as temporary:
        save_file(contiguous(model.head.state_dict()), temporary)


def load_classifier(backbone: Backbone, folder: Path, pooling: Pooling) -> Classifier | None:
    """Return the classifier that `save_head` wrote, around its backbone; None for a backbone not trained here."""
    if not (folder / HEAD).exists():
        return None
    weights = read_tensors(folder / HEAD)
    model = Classifier(backbone, len(weights["bias"]), pooling)
    model.head.load_state_dict(weights)
    return model


def make_backbone(
    params: BackboneParams, task: Task, run: str
) -> tuple[Backbone, Classifier | None, list[Point]]:
    """Return the backbone, the classifier with which it was trained, and the training curve.

    A backbone that comes with its weights has no classifier and an empty curve. Raises UserError for an unknown
    network and for weights that do not fit.
    """
    torch.manual_seed(params.train.seed if params.train else 0)
    backbone = create_backbone(params, params.images.side)
    require_tokens(params.pooling, backbone.spec, "pooling")
    if params.train is None:
        return backbone, None, []
    classes = len(task.subset("train").class_names)
    model = Classifier(backbone, classes, params.pooling, params.label_smoothing)
    return backbone, model, train_on(model, params.images, params.train, task, run)
