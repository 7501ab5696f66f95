"""IRT as the loop sees it: losses over batch and memory, the momentum encoder, saving and loading."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.contract.method import Method, MethodParams, Variant
from fieldmark.datasets.data.batches.samplers import Sampler
from fieldmark.engine.ema import move_towards
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses
from fieldmark.methods.irt.model.descriptor import Descriptor
from fieldmark.methods.irt.model.gradients import MeanOverSteps, gradient_spread
from fieldmark.methods.irt.model.losses import contrastive_loss, koleo_loss, tuple_loss
from fieldmark.methods.irt.model.memory import MemoryBank
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.methods.irt.model.rivals import REMEMBER, TEMPERATURES, LibraryLoss, neighbour_loss
from fieldmark.methods.irt.model.tuples import TupleBank, TupleSampler, training_pairs
from fieldmark.runtime.distributed import gather
from fieldmark.vision.backbones import BackboneSpec, backbone_from_spec, require_size
from fieldmark.vision.pooling import require_tokens

IrtVariant = Variant[IrtParams, None]


class Irt(Method[IrtParams, None]):
    """A siamese descriptor trained with contrastive loss, cross-batch memory and KoLeo."""

    name: ClassVar[str] = "irt"
    title: ClassVar[str] = "IRT: vision transformers for image retrieval"
    Params: ClassVar[type[MethodParams]] = IrtParams
    unsaved: ClassVar[tuple[str, ...]] = ("memory.", "key_encoder.", "rival.", "gradients.", "tuples.")
    judged_on: ClassVar[tuple[str, ...]] = ("retrieval", "landmarks")

    def __init__(
        self,
        variant: IrtVariant,
        descriptor: Descriptor,
        memory_size: int = 0,
        classes: int = 0,
        tuples: TupleBank | None = None,
    ) -> None:
        super().__init__(variant)
        self.tuples = tuples
        self.descriptor, self.step = descriptor, 0
        self.gradient_spread: float | None = None  # mean over training, where it was measured
        self.gradients = MeanOverSteps() if self.params.gradients else None
        # What is not trained compares nothing and has no proxies.
        self.rival = None
        if classes and self.params.loss not in REMEMBER:
            dim, temperature = descriptor.backbone.spec.dim, self.params.temperature
            self.rival = LibraryLoss(self.params.loss, classes, dim, temperature)
        momentum = self.params.memory.momentum
        self.memory = MemoryBank(memory_size, descriptor.backbone.spec.dim) if memory_size else None
        self.key_encoder = copy.deepcopy(descriptor) if self.memory and momentum is not None else None
        if self.key_encoder:
            self.key_encoder.requires_grad_(False)

    @classmethod
    def variants(cls, params: IrtParams) -> list[IrtVariant]:
        """O: no training. L: lambda 0. R: lambda as given."""
        still = params.model_copy(update={"train": params.train.model_copy(update={"steps": 0})})
        known = {
            "O": IrtVariant("O", "frozen backbone", still, None, fixed=True),
            "L": IrtVariant("L", params.loss, params.model_copy(update={"lambda_": 0.0}), None),
            "R": IrtVariant("R", f"{params.loss} + {params.lambda_:g} KoLeo", params, None),
        }
        return [known[name] for name in params.variants]

    @classmethod
    def build(cls, variant: IrtVariant, task: Task) -> Self:
        """Start from the task's backbone. Raises UserError when the PCA or the pooling asks for what it lacks."""
        backbone, params = task.load_backbone(), variant.params
        if params.dim and params.dim > backbone.spec.dim:
            raise UserError(
                f"irt.dim {params.dim} is more than the backbone's {backbone.spec.dim} dimensions"
            )
        require_tokens(params.pooling, backbone.spec, "irt.pooling")
        require_size(backbone, params.images.side)
        pictures = task.subset("train")
        remembers = variant.trained and params.loss in REMEMBER
        size = round(params.memory.fraction * len(pictures)) if remembers else 0
        classes = len(pictures.class_names) if variant.trained else 0
        tuples = _empty_bank(params, task) if variant.trained else None
        return cls(variant, Descriptor(backbone, params.pooling, params.dim), size, classes, tuples)

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Contrastive over the batch, plus contrastive over the memory, plus lambda times KoLeo.

        In place of the first two there is the loss that the parameters name.
        """
        embeddings = gather(self.descriptor(batch["images"]))
        labels = gather(batch["labels"])
        losses = self._of_pairs(batch["images"], embeddings, labels)
        if self.gradients is not None and embeddings.requires_grad:
            self.gradients.see(gradient_spread(torch.stack(list(losses.values())).sum(), embeddings))
        if self.params.lambda_:
            losses["koleo"] = self.params.lambda_ * koleo_loss(embeddings)
        return {**losses, "loss": torch.stack(list(losses.values())).sum()}

    def _of_pairs(self, images: Tensor, embeddings: Tensor, labels: Tensor) -> Losses:
        if self.rival is not None:
            return {self.params.loss: self.rival(embeddings, labels)}
        reference = self._remembered(images, embeddings, labels)
        if self.params.loss == "snca":
            temperature = self.params.temperature or TEMPERATURES["snca"]
            entries, entry_labels, own = reference or (None, None, None)
            return {"snca": neighbour_loss(embeddings, labels, entries, entry_labels, temperature, own)}
        losses = {"contrastive": self._over_pairs(embeddings, labels, len(images))}
        if reference:
            losses["memory"] = self._contrastive(embeddings, labels, *reference)
        return losses

    def _remembered(
        self, images: Tensor, embeddings: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Enqueue the batch; return the memory with the place of each row in it, from the step on that looks there."""
        if not self.memory:
            return None
        own = self.memory.enqueue(self._keys(images, embeddings), labels)
        return (*self.memory.get(), own) if self.step >= self.params.memory.start else None

    def _over_pairs(self, embeddings: Tensor, labels: Tensor, own: int) -> Tensor:
        """The contrastive loss over the batch, of which this process has `own` rows: over tuples, or by class."""
        if self.tuples is None:
            return self._contrastive(embeddings, labels)
        if own % self.tuples.length:
            raise UserError(
                f"irt.train.batch_size: each device must have whole tuples of {self.tuples.length} pictures, not {own}"
            )
        return tuple_loss(embeddings, self.tuples.length, self.params.margin)

    def _contrastive(
        self,
        embeddings: Tensor,
        labels: Tensor,
        reference: Tensor | None = None,
        reference_labels: Tensor | None = None,
        own: Tensor | None = None,
    ) -> Tensor:
        margin, reduction = self.params.margin, self.params.reduction
        return contrastive_loss(embeddings, labels, reference, reference_labels, margin, reduction, own)

    def _keys(self, images: Tensor, embeddings: Tensor) -> Tensor:
        if self.key_encoder is None:
            return embeddings.detach()
        with torch.no_grad():
            return gather(self.key_encoder(images))

    def own_sampler(self, task: Task) -> Sampler | None:
        """Return batches of tuples, where the block asks for them."""
        params = self.params
        if self.tuples is None or params.tuples is None:
            return None
        return TupleSampler(
            self.tuples,
            self.descriptor,
            task,
            training_pairs(task),
            params.tuples.pool,
            params.images,
            params.train.batch_size,
            params.seed,
        )

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        """The descriptor is trained, and so are the proxies of a loss that has them."""
        proxies = [] if self.rival is None else [(self.rival, self.params.proxy_lr)]
        return [(self.descriptor, 1.0), *proxies]

    def before_step(self, step: int) -> None:
        """Remember the step: the memory may start late."""
        self.step = step

    def after_step(self, step: int) -> None:
        """Move the momentum encoder towards the trained one."""
        if self.key_encoder and self.params.memory.momentum is not None:
            move_towards(self.key_encoder, self.descriptor, self.params.memory.momentum)

    def finish(self, task: Task) -> None:
        """Fit the PCA on the training pictures, and keep what was measured of the gradients."""
        if self.gradients is not None:
            self.gradient_spread = self.gradients.mean
        if self.descriptor.projection:
            pooled = task.run(
                self.descriptor, self.descriptor.pooled, task.subset("train"), self.params.images, "PCA"
            )
            self.descriptor.projection.cpu().fit(pooled)

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> unit-length descriptors (B, D)."""
        return self.descriptor.describe(images)

    @property
    def trained_weights(self) -> int:
        """How many weights the descriptor has, where it is trained."""
        return sum(p.numel() for p in self.descriptor.parameters()) if self.variant.trained else 0

    def description(self) -> dict[str, Any]:
        """Return how to build the backbone again, and what was measured of the gradients."""
        measured = {"gradient_spread": self.gradient_spread} if self.gradient_spread is not None else {}
        return {"backbone": asdict(self.descriptor.backbone.spec), **measured}

    @classmethod
    def rebuild(
        cls, variant: IrtVariant, description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> Self:
        """Build the descriptor; memory and momentum encoder are needed in training only."""
        backbone = backbone_from_spec(BackboneSpec(**description["backbone"]))
        method = cls(variant, Descriptor(backbone, variant.params.pooling, variant.params.dim))
        method.gradient_spread = description.get("gradient_spread")
        return method


def _empty_bank(params: IrtParams, task: Task) -> TupleBank | None:
    """Return room for the tuples of a round: whole batches of as many pairs as are asked for and there are."""
    if params.tuples is None:
        return None
    per_batch = params.train.batch_size // params.tuples.length
    pairs = min(params.tuples.pairs, len(training_pairs(task)))
    if pairs < per_batch:
        raise UserError(
            f"irt.tuples: a batch has {per_batch} tuples, a round has {pairs} pairs; raise tuples.pairs"
        )
    return TupleBank(pairs - pairs % per_batch, params.tuples.negatives)


METHOD = Irt
