"""A backbone with a linear classifier and cross-entropy."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fieldmark.contract.method import Losses, Trainable
from fieldmark.vision.backbones import Backbone
from fieldmark.vision.pooling import Pooling, pool


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
        logits = self.logits(batch["images"]).float()
        loss = cross_entropy(logits, batch["labels"], label_smoothing=self.label_smoothing)
        return {"cross_entropy": loss, "loss": loss}

    def logits(self, images: Tensor) -> Tensor:
        """Class scores (B, C)."""
        out: Tensor = self.head(pool(self.backbone(images), self.pooling))
        return out
