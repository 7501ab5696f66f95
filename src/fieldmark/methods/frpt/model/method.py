"""FRPT as the loop sees it: a frozen backbone between a learned prompt and a learned head."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize

from fieldmark.base.errors import UserError
from fieldmark.contract.method import Method, MethodParams, evenly_spaced
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.datasets.data.roles.splits import few_shot
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, features_of
from fieldmark.methods.frpt.model.crops import activation_boxes, cut_squares, squares, with_boxes
from fieldmark.methods.frpt.model.head import build_head
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.prompt import Prompt
from fieldmark.methods.frpt.model.stride import with_output_stride
from fieldmark.methods.frpt.model.variants import FrptVariant, Parts, all_variants
from fieldmark.runtime.distributed import first_process
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec, require_size
from fieldmark.vision.libraries import Features
from fieldmark.vision.pooling import pool

CLASSIFIER_STD = 0.01


class Frpt(Method[FrptParams, Parts]):
    """Pictures, warped by the prompt, through the frozen backbone and the head to pooled descriptors."""

    name: ClassVar[str] = "frpt"
    title: ClassVar[str] = "FRPT: retrieval with a frozen backbone"
    Params: ClassVar[type[MethodParams]] = FrptParams
    unsaved: ClassVar[tuple[str, ...]] = ("classifier.",)

    def __init__(self, variant: FrptVariant, backbone: Backbone, classes: int | None = None) -> None:
        super().__init__(variant)
        params, parts, dim = variant.params, variant.parts, backbone.spec.dim
        self.backbone = backbone
        self.feature_map_width = 0  # of what the prompt looks at, in cells
        self.prompt: Prompt | None = None
        if parts.prompt:
            _, channels, _, self.feature_map_width = stage_shape(backbone, params)
            self.prompt = Prompt(channels, params)
        self.head = build_head(parts.head, dim, params.reduction)
        self.classifier = nn.Linear(dim, classes, bias=False) if classes else None
        if self.classifier:
            nn.init.normal_(self.classifier.weight, std=CLASSIFIER_STD)
        backbone.requires_grad_(parts.backbone)
        if not variant.trained:
            self.requires_grad_(False)
        self.train(self.training)

    @classmethod
    def variants(cls, params: FrptParams) -> list[FrptVariant]:
        """Each variant on all training pictures, then those with few pictures per class."""
        return all_variants(params)

    @classmethod
    def shown_task(cls, variant: FrptVariant, task: Task) -> Task:
        """Return the task with the pictures that a variant is given: cut to their boxes, or as they are."""
        return with_boxes(task) if variant.parts.cut == "box" else task

    @classmethod
    def training_task(cls, variant: FrptVariant, task: Task) -> Task:
        """Keep only the variant's number of training pictures per class. Raises UserError when a class has fewer."""
        shots, shown = variant.parts.shots, cls.shown_task(variant, task)
        if shots is None:
            return shown
        return shown.with_split(few_shot(task.split, shots, variant.params.seed))

    @classmethod
    def build(cls, variant: FrptVariant, task: Task) -> Self:
        """Start from the task's backbone. Raises UserError for a stage, stride or size that it does not have."""
        params, backbone = variant.params, task.load_backbone()
        if params.output_stride and not variant.parts.unchanged_stride:
            backbone = with_output_stride(backbone, params.output_stride, params.dilate)
        require_size(backbone, params.images.side)
        method = cls(variant, backbone, len(task.subset("train").class_names) if variant.trained else None)
        if first_process():
            print(
                f"{variant.name}: {method.trained_weights:,} trained weights and a classifier",
                file=sys.stderr,
            )
        return method

    @property
    def loaded(self) -> ImageParams:
        """The finer pictures, for a variant whose prompt, learned or fixed, looks into them."""
        params = self.params
        return params.source if params.source and self.variant.parts.looks else params.images

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """Evenly spaced over the training, without the last step, which gives the model itself."""
        return evenly_spaced(self.params.snapshots, self.params.train.steps)

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        """Prompt, head and classifier; the backbone in variant finetune only."""
        multiples = {"prompt": self.params.prompt_lr, "backbone": self.params.backbone_lr}
        return [(module, multiples.get(name, 1.0)) for name, module in self.named_children()]

    def frozen(self) -> Iterable[nn.Module]:
        """The backbone stays in eval mode unless it is trained."""
        return [] if self.variant.parts.backbone else [self.backbone]

    def feature_source(self) -> Backbone | None:
        """The backbone, unless it is trained or a prompt changes what it is shown."""
        return None if self.variant.parts.backbone or self.variant.parts.looks else self.backbone

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Cross-entropy on the training classes (eq. 10)."""
        if self.classifier is None:
            raise RuntimeError("a still or a loaded model has no classifier to train")
        logits = self.classifier(self._pooled(batch)).float()
        loss = cross_entropy(logits, batch["labels"], label_smoothing=self.params.label_smoothing)
        return {"cross_entropy": loss, "loss": loss}

    def prompted(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the prompt makes of images (B, 3, H, W): the saliency (B, 1, h, w), the warped images.

        The warped images have the size of `images` or, with a finer `source`, the size that the network takes.
        """
        if self.prompt is None:
            raise RuntimeError("this variant has no prompt")
        shown = _fractions(images)
        with torch.no_grad():  # nothing is trained before the prompt
            features = self.backbone.stage_features(self._glance(shown), self.params.stage)
        saliency = self.prompt.saliency(features)
        return saliency, self.prompt(shown, saliency)

    def _glance(self, images: Tensor) -> Tensor:
        """Return finer pictures at the network's size, in which the prompt finds what is salient."""
        if self.params.source is None:
            return images
        side = self.params.images.side
        return interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)

    def shown(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> what the backbone is shown: warped, cut, or the images as they are."""
        if self.prompt is not None:
            return self.prompted(images)[1]
        return self._cut(_fractions(images)) if self.variant.parts.looks else images

    @torch.no_grad()
    def _cut(self, images: Tensor) -> Tensor:
        """Cut pictures (B, 3, H, W) to the squares around what the frozen backbone responds to."""
        feature_map = self.backbone(self._glance(images)).feature_map.float()
        with torch.autocast(images.device.type, enabled=False):
            return cut_squares(images, squares(activation_boxes(feature_map)), self.params.images.side)

    def pooled(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> descriptors (B, D) of any length."""
        return self._pooled({"images": images})

    def final_map(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the map (B, D, h, w) that is pooled, for a batch of pictures or, without a prompt, of features."""
        given = {"images": self.shown(batch["images"])} if self.variant.parts.looks else batch
        feature_map = features_of(self.backbone, given).feature_map.float()
        return feature_map if self.head is None else self.head(feature_map)

    def _pooled(self, batch: dict[str, Tensor]) -> Tensor:
        """Return what `pooled` does for a batch of pictures or, without a prompt, of features."""
        return pool(Features(self.final_map(batch)), self.params.pooling)

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> unit-length descriptors (B, D)."""
        return normalize(self.pooled(images).float(), dim=1)

    @property
    def trainable(self) -> dict[str, int]:
        """How many weights are trained, by part; as in the paper the classifier does not count."""
        parts = {"prompt": self.prompt, "head": self.head, "backbone": self.backbone}
        return {
            name: sum(p.numel() for p in module.parameters() if p.requires_grad)
            for name, module in parts.items()
            if module is not None
        }

    @property
    def trained_weights(self) -> int:
        """The trained weights that retrieval uses: the classifier is not counted."""
        return sum(self.trainable.values())

    def description(self) -> dict[str, Any]:
        """Return how to build the backbone again."""
        return {"backbone": asdict(self.backbone.spec)}

    @classmethod
    def rebuild(
        cls, variant: FrptVariant, description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> Self:
        """Build prompt, backbone and head; the classifier is needed in training only."""
        return cls(variant, backbone_from_spec(BackboneSpec(**description["backbone"])))


def _fractions(images: Tensor) -> Tensor:
    """Return pictures of uint8 as floats from 0 to 1, and others as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


@torch.no_grad()
def stage_shape(backbone: Backbone, params: FrptParams) -> torch.Size:
    """Return the shape (1, C, h, w) of what the prompt looks at. Raises UserError when there is no such stage."""
    blank = torch.zeros(1, 3, params.images.side, params.images.side, device=backbone.mean.device)
    was_training = backbone.training
    try:
        return backbone.eval().stage_features(blank, params.stage).shape
    except (IndexError, AssertionError, ValueError):
        raise UserError(f"frpt.stage {params.stage}: {backbone.spec.arch} has no such stage") from None
    finally:
        backbone.train(was_training)


METHOD = Frpt
