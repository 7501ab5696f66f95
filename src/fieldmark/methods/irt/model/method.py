"""IRT as the loop sees it: losses over batch and memory, the momentum encoder, saving and loading."""

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path, write_json
from fieldmark.contract.method import Losses, Method, MethodParams, ParameterGroup, Task, decay_groups
from fieldmark.engine.averaging import move_towards
from fieldmark.engine.params import TrainParams
from fieldmark.inference.batches import run_over
from fieldmark.methods.irt.model.descriptor import Descriptor
from fieldmark.methods.irt.model.losses import contrastive_loss, koleo_loss
from fieldmark.methods.irt.model.memory import MemoryBank
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.runtime.processes import gather
from fieldmark.vision.backbones import BackboneSpec, backbone_from_spec, contiguous, require_size

WEIGHTS, DESCRIPTION = "weights.safetensors", "descriptor.json"


class Irt(Method):
    """A siamese descriptor trained with contrastive loss, cross-batch memory and KoLeo."""

    Params: ClassVar[type[MethodParams]] = IrtParams
    title: ClassVar[str] = "IRT: vision transformers for image retrieval"

    def __init__(self, params: IrtParams, descriptor: Descriptor, memory_size: int = 0) -> None:
        super().__init__()
        self.params, self.descriptor, self.step = params, descriptor, 0
        momentum = params.memory.momentum
        self.memory = MemoryBank(memory_size, descriptor.backbone.spec.dim) if memory_size else None
        self.key_encoder = copy.deepcopy(descriptor) if self.memory and momentum is not None else None
        if self.key_encoder:
            self.key_encoder.requires_grad_(False)

    @classmethod
    def variants(cls, params: IrtParams) -> Mapping[str, IrtParams]:
        """O: no training. L: lambda 0. R: lambda as given."""
        changes: dict[str, dict[str, Any]] = {
            "O": {"train": params.train.model_copy(update={"steps": 0})},
            "L": {"lambda_": 0.0},
            "R": {},
        }
        return {name: params.model_copy(update=changes[name]) for name in params.variants}

    @classmethod
    def build(cls, params: IrtParams, task: Task) -> Self:
        """Start from the task's backbone. Raises UserError when the PCA asks for more than it has."""
        backbone = task.load_backbone()
        if params.dim and params.dim > backbone.spec.dim:
            raise UserError(
                f"irt.dim {params.dim} is more than the backbone's {backbone.spec.dim} dimensions"
            )
        if params.pooling == "cls" and not backbone.spec.has_cls:
            raise UserError(
                f"irt.pooling 'cls' needs a class token, {backbone.spec.arch} has none; use average, max or gem"
            )
        require_size(backbone, params.images.size)
        size = round(params.memory.fraction * len(task.subset("train"))) if params.train.steps else 0
        return cls(params, Descriptor(backbone, params.pooling, params.dim), size)

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Contrastive over the batch, plus contrastive over the memory, plus lambda times KoLeo."""
        embeddings = gather(self.descriptor(batch["images"]))
        labels = gather(batch["labels"])
        own = {"margin": self.params.margin, "reduction": self.params.reduction}
        losses = {"contrastive": contrastive_loss(embeddings, labels, **own)}
        if self.memory:
            self.memory.enqueue(self._keys(batch["images"], embeddings), labels)
            if self.step >= self.params.memory.start:
                stored = self.memory.get()
                losses["memory"] = contrastive_loss(embeddings, labels, *stored, **own)
        if self.params.lambda_:
            losses["koleo"] = self.params.lambda_ * koleo_loss(embeddings)
        return {**losses, "loss": torch.stack(list(losses.values())).sum()}

    def _keys(self, images: Tensor, embeddings: Tensor) -> Tensor:
        if self.key_encoder is None:
            return embeddings.detach()
        with torch.no_grad():
            return gather(self.key_encoder(images))

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Only the descriptor is trained."""
        return decay_groups(self.descriptor, params.weight_decay)

    def before_step(self, step: int) -> None:
        """Remember the step: the memory may start late."""
        self.step = step

    def after_step(self, step: int) -> None:
        """Move the momentum encoder towards the trained one."""
        if self.key_encoder and self.params.memory.momentum is not None:
            move_towards(self.key_encoder, self.descriptor, self.params.memory.momentum)

    def finish(self, task: Task) -> None:
        """Fit the PCA on the training pictures."""
        if self.descriptor.projection:
            pooled = run_over(
                self.descriptor, self.descriptor.pooled, task, task.subset("train"), self.params.images, "PCA"
            )
            self.descriptor.projection.cpu().fit(pooled)

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> unit-length descriptors (B, D)."""
        return self.descriptor.describe(images)

    def save(self, folder: Path) -> None:
        """Write the descriptor's weights and how to build it again; memory and momentum encoder go."""
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file(contiguous(self.descriptor.state_dict()), temporary)
        write_json(folder / DESCRIPTION, asdict(self.descriptor.backbone.spec))

    @classmethod
    def load(cls, params: IrtParams, folder: Path) -> Self:
        """Read what `save` wrote."""
        spec = BackboneSpec(**json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")))
        descriptor = Descriptor(backbone_from_spec(spec), params.pooling, params.dim)
        descriptor.load_state_dict(load_file(folder / WEIGHTS))
        return cls(params, descriptor)
