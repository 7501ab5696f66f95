"""FRPT as the loop sees it: a frozen backbone between a learned prompt and a learned head."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path, write_json
from fieldmark.contract.method import Method, MethodParams
from fieldmark.contract.variants import SNAPSHOTS
from fieldmark.datasets.splitting.splits import few_shot
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, ParameterGroup, decay_groups
from fieldmark.methods.frpt.model.head import build_head
from fieldmark.methods.frpt.model.params import FOLLOWED, STILL, FrptParams
from fieldmark.methods.frpt.model.prompt import Prompt
from fieldmark.methods.frpt.model.stride import with_output_stride
from fieldmark.runtime.distributed import first_process
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec, contiguous, require_size
from fieldmark.vision.libraries import Features
from fieldmark.vision.pooling import pool

WEIGHTS, DESCRIPTION = "weights.safetensors", "backbone.json"
CLASSIFIER_STD = 0.01


class Frpt(Method):
    """Pictures, warped by the prompt, through the frozen backbone and the head to pooled descriptors."""

    Params: ClassVar[type[MethodParams]] = FrptParams
    title: ClassVar[str] = "FRPT: retrieval with a frozen backbone"

    def __init__(self, params: FrptParams, backbone: Backbone, classes: int | None = None) -> None:
        super().__init__()
        self.params, self.parts, self.backbone = params, params.parts, backbone
        self.earlier: list[Path] = []  # folders of its own snapshots, by steps
        self.map_width = 0  # of the map that the prompt looks at
        self.prompt: Prompt | None = None
        if self.parts.prompt:
            _, channels, _, self.map_width = stage_shape(backbone, params)
            self.prompt = Prompt(channels, params)
        dim = backbone.spec.dim
        self.head = build_head(self.parts.head, dim, params.reduction)
        self.classifier = nn.Linear(dim, classes, bias=False) if classes else None
        if self.classifier:
            nn.init.normal_(self.classifier.weight, std=CLASSIFIER_STD)
        backbone.requires_grad_(self.parts.backbone)
        if params.still:
            self.requires_grad_(False)
        self.train(self.training)

    @classmethod
    def variants(cls, params: FrptParams) -> Mapping[str, FrptParams]:
        """Each variant alone, the still ones untrained; then those with few pictures per class."""
        still = {"train": params.train.model_copy(update={"steps": 0})}
        full: dict[str, FrptParams] = {
            name: params.model_copy(
                update={"variants": (name,), "shots": (), **(still if name in STILL else {})}
            )
            for name in params.variants
        }
        short = params.train.model_copy(update={"steps": params.shot_steps})
        few = {
            f"{name}-{shots}": full[name].model_copy(
                update={"shots": (shots,), "train": short, "snapshots": 0}
            )
            for shots in params.shots
            for name in FOLLOWED
            if name in full
        }
        return {**full, **few}

    @classmethod
    def training_task(cls, params: FrptParams, task: Task) -> Task:
        """Keep `shots` training pictures per class. Raises UserError when a class has fewer."""
        if not params.shots:
            return task
        return replace(task, split=few_shot(task.split, params.shots[0], params.train.seed))

    @classmethod
    def build(cls, params: FrptParams, task: Task) -> Self:
        """Start from the task's backbone. Raises UserError for a stage, stride or size that it does not have."""
        classes = len(task.subset("train").class_names)
        backbone = task.load_backbone()
        if params.own_stride:
            backbone = with_output_stride(backbone, params.own_stride)
        require_size(backbone, params.images.side)
        method = cls(params, backbone, None if params.still else classes)
        if first_process():
            trained = sum(method.trainable.values())
            print(f"{params.variants[-1]}: {trained:,} trained weights and a classifier", file=sys.stderr)
        return method

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """Evenly spaced on the way; the last is the model itself."""
        parts, steps = self.params.snapshots + 1, self.params.train.steps
        return tuple(steps * part // parts for part in range(1, parts)) if self.params.followed else ()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained; a frozen backbone stays in eval mode, its BatchNorms too."""
        super().train(mode)
        if not self.parts.backbone:
            self.backbone.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Cross-entropy on the training classes (eq. 10)."""
        if self.classifier is None:
            raise RuntimeError("a still or a loaded model has no classifier to train")
        logits = self.classifier(self.pooled(batch["images"])).float()
        loss = cross_entropy(logits, batch["labels"], label_smoothing=self.params.label_smoothing)
        return {"cross_entropy": loss, "loss": loss}

    def prompted(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the prompt makes of images (B, 3, H, W): the saliency (B, 1, h, w), the warped images.

        The warped ones have the size of `images`, or where there is a finer `source` the network's.
        """
        if self.prompt is None:
            raise RuntimeError("this variant has no prompt")
        shown = images.float() / 255 if images.dtype == torch.uint8 else images
        with torch.no_grad():  # nothing is trained before the prompt
            features = self.backbone.stage_features(self._glance(shown), self.params.stage)
        saliency = self.prompt.saliency(features)
        return saliency, self.prompt(shown, saliency)

    def _glance(self, images: Tensor) -> Tensor:
        """Finer pictures at the network's size, for the look that finds what is salient."""
        if self.params.source is None:
            return images
        side = self.params.images.side
        return interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)

    def pooled(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> descriptors (B, D) of any length."""
        shown = images if self.prompt is None else self.prompted(images)[1]
        maps = self.backbone(shown).feature_map.float()
        return pool(Features(maps if self.head is None else self.head(maps)), self.params.pooling)

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> unit-length descriptors (B, D)."""
        return normalize(self.pooled(images).float(), dim=1)

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Prompt, head and classifier; the backbone in variant finetune only."""
        scales = {"prompt": self.params.prompt_lr, "backbone": self.params.backbone_lr}
        groups = []
        for name, module in self.named_children():
            for group in decay_groups(module, params.weight_decay):
                group.lr_scale = scales.get(name, 1.0)
                groups.append(group)
        return groups

    @property
    def trainable(self) -> dict[str, int]:
        """How many weights are trained, by part; as in the paper the classifier does not count."""
        parts = {"prompt": self.prompt, "head": self.head, "backbone": self.backbone}
        return {
            name: sum(p.numel() for p in module.parameters() if p.requires_grad)
            for name, module in parts.items()
            if module is not None
        }

    def save(self, folder: Path) -> None:
        """Write all weights but the classifier's, and how to build the backbone again."""
        state = {
            name: value for name, value in self.state_dict().items() if not name.startswith("classifier")
        }
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file(contiguous(state), temporary)
        write_json(folder / DESCRIPTION, asdict(self.backbone.spec))

    @classmethod
    def load(cls, params: FrptParams, folder: Path) -> Self:
        """Read what `save` wrote."""
        spec = BackboneSpec(**json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")))
        method = cls(params, backbone_from_spec(spec))
        method.load_state_dict(load_file(folder / WEIGHTS))
        method.earlier = sorted((folder / SNAPSHOTS).glob("*"))
        return method


@torch.no_grad()
def stage_shape(backbone: Backbone, params: FrptParams) -> torch.Size:
    """Return the shape (1, C, h, w) of the map that the prompt looks at. Raises UserError for no such stage."""
    blank = torch.zeros(1, 3, params.images.side, params.images.side, device=backbone.mean.device)
    was_training = backbone.training
    try:
        return backbone.eval().stage_features(blank, params.stage).shape
    except (IndexError, AssertionError, ValueError):
        raise UserError(f"frpt.stage {params.stage}: {backbone.spec.arch} has no such stage") from None
    finally:
        backbone.train(was_training)
