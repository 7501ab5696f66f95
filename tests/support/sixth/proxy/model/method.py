"""The method as the loop sees it: its variants, its loss, and how it is saved."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize

from fieldmark.contract.method import Method, MethodParams, Variant
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, features_of
from fieldmark.methods.proxy.model.params import ProxyParams
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec, require_size
from fieldmark.vision.libraries import Features
from fieldmark.vision.pooling import pool

ProxyVariant = Variant[ProxyParams, None]


class Proxy(Method[ProxyParams, None]):
    """Descriptors that are drawn to the proxy of their class and away from the others."""

    name: ClassVar[str] = "proxy"
    title: ClassVar[str] = "Proxy: a linear head on a frozen backbone"
    Params: ClassVar[type[MethodParams]] = ProxyParams
    unsaved: ClassVar[tuple[str, ...]] = ("proxies",)  # inference does without

    def __init__(self, variant: ProxyVariant, backbone: Backbone, classes: int = 0) -> None:
        super().__init__(variant)
        self.backbone = backbone.requires_grad_(False)
        dim = self.params.dim
        self.head = nn.Linear(backbone.spec.dim, dim) if variant.trained else nn.Identity()
        self.proxies = nn.Parameter(torch.randn(classes, dim))

    @classmethod
    def variants(cls, params: ProxyParams) -> list[ProxyVariant]:
        """Return the frozen backbone, which takes no step, and the head on top of it."""
        untrained = params.model_copy(update={"train": params.train.model_copy(update={"steps": 0})})
        known = {
            "frozen": ProxyVariant("frozen", "frozen backbone", untrained, None, fixed=True),
            "head": ProxyVariant("head", f"linear head, {params.dim} dimensions", params, None),
        }
        return [known[name] for name in params.variants]

    @classmethod
    def build(cls, variant: ProxyVariant, task: Task) -> Self:
        """Start from the task's backbone, with a random proxy for each training class."""
        backbone = task.load_backbone()
        require_size(backbone, variant.params.images.side)
        return cls(variant, backbone, len(task.subset("train").class_names))

    def frozen(self) -> Iterable[nn.Module]:
        """Return the backbone."""
        return [self.backbone]

    def feature_source(self) -> Backbone:
        """Return the backbone: training may read its features in place of pictures."""
        return self.backbone

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Return the cross-entropy of the similarities with all proxies, divided by the temperature."""
        described = self._describe(features_of(self.backbone, batch))
        similarity = linear(described, normalize(self.proxies, dim=1))
        loss = cross_entropy(similarity / self.params.temperature, batch["labels"])
        return {"softmax": loss, "loss": loss}

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> unit-length descriptors (B, D)."""
        return self._describe(self.backbone(images))

    def _describe(self, features: Features) -> Tensor:
        return normalize(self.head(pool(features, self.params.pooling)).float(), dim=1)

    def description(self) -> dict[str, Any]:
        """Return how to build the backbone again."""
        return {"backbone": asdict(self.backbone.spec)}

    @classmethod
    def rebuild(
        cls, variant: ProxyVariant, description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> Self:
        """Build backbone and head, without proxies."""
        return cls(variant, backbone_from_spec(BackboneSpec(**description["backbone"])))


METHOD = Proxy
