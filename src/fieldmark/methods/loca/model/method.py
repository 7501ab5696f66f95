"""LOCA as the loop sees it: views, losses, the teacher, saving and loading."""

import copy
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.base.errors import UserError
from fieldmark.contract.method import WEIGHTS, Method, MethodParams, save_weights
from fieldmark.engine.ema import move_towards
from fieldmark.engine.params import TrainParams
from fieldmark.engine.precision import full_precision
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, ParameterGroup
from fieldmark.methods.loca.model.boxes import box_losses, box_targets
from fieldmark.methods.loca.model.classes import class_losses, count_classes
from fieldmark.methods.loca.model.collapse import diagnosis, feature_spread, prototype_use, target_entropy
from fieldmark.methods.loca.model.decay import decay_groups
from fieldmark.methods.loca.model.encoder import build_encoder, encode, kept_branches
from fieldmark.methods.loca.model.losses import balance, feature_loss, position_loss
from fieldmark.methods.loca.model.network import (
    Chosen,
    Network,
    choose_patches,
    query_targets,
    reference_patches,
    whole_queries,
)
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.loca.model.pretext import Pretext, counted, measured
from fieldmark.methods.loca.model.scaling import thinned
from fieldmark.methods.loca.model.teacher import teacher_momentum
from fieldmark.methods.loca.model.variants import LocaVariant, Parts, given_variant, make_variant
from fieldmark.methods.loca.model.views import NUMBERS, Views, draws, make_views
from fieldmark.runtime.device import moved
from fieldmark.runtime.distributed import first_process, process_rank
from fieldmark.vision.backbones import (
    Backbone,
    BackboneSpec,
    backbone_from_spec,
    load_backbone,
    save_backbone,
)
from fieldmark.vision.pooling import pool
from fieldmark.vision.reading import load_tensors, read_tensors

HEADS = "heads.safetensors"
PRETEXT_STEP = 2**40  # views of the test pictures: those of a step that training never reaches


class Loca(Method[LocaParams, Parts]):
    """Position prediction across views and clustering of patches, each alone or together; and baselines."""

    name: ClassVar[str] = "loca"
    title: ClassVar[str] = "LOCA: location-aware self-supervised transformers"
    Params: ClassVar[type[MethodParams]] = LocaParams
    # The encoder is saved as a backbone; a teacher's heads are needed in training only.
    unsaved: ClassVar[tuple[str, ...]] = (
        *("network.backbone.", "network.classifier."),
        *("teacher.position.", "teacher.projection."),
    )

    def __init__(self, variant: LocaVariant, backbone: Backbone, classes: int = 0) -> None:
        super().__init__(variant)
        self.step, self.part, self.mode = 0, 0, variant.parts.mode
        self.network = Network(backbone, variant, classes)
        self.teacher = copy.deepcopy(self.network).requires_grad_(False) if self.mode.clustered else None
        self.measured: dict[str, Tensor] = {}

    @classmethod
    def variants(cls, params: LocaParams) -> list[LocaVariant]:
        """Return a variant for each name; `random` is not trained."""
        return [make_variant(name, params) for name in params.variants]

    @classmethod
    def training_task(cls, variant: LocaVariant, task: Task) -> Task:
        """Return the task, with the part of the training pictures that the variant has."""
        fraction = variant.parts.fraction
        return task if fraction == 1.0 else thinned(task, fraction, variant.params.seed)

    @classmethod
    def build(cls, variant: LocaVariant, task: Task) -> Self:
        """Start from random weights.

        Raises UserError when there are fewer patches than the random query is to keep, and for `supervised` when the
        pictures have no classes.
        """
        params, mode = variant.params, variant.parts.mode
        backbone = build_encoder(params)
        patches = reference_patches(params, backbone)
        if params.views.random_tokens > patches:
            raise UserError(
                f"loca.views.random_tokens {params.views.random_tokens} is more than a view's {patches} patches"
            )
        return cls(variant, backbone, count_classes(task) if mode.labelled else 0)

    @classmethod
    def given(cls, name: str, params: LocaParams, folder: Path) -> Self:
        """Return the backbone in `folder`, which was trained elsewhere, as a variant. Raises UserError without one."""
        backbone = load_backbone(folder)
        variant = given_variant(name, f"{backbone.spec.arch}, trained elsewhere", params)
        return cls(variant, backbone).eval()

    @property
    def backbone(self) -> Backbone:
        """The trained encoder."""
        return self.network.backbone

    @property
    def has_pretext(self) -> bool:
        """Whether there is a position classifier."""
        return self.network.position is not None

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        """Position loss, clustering and me-max, whichever the mode has; the other values are measurements."""
        images = batch["images"]
        views, uniform = self._views(images, self.step, self._first(len(images)))
        branches = moved(kept_branches(uniform, self.params.drop_path), images.device)
        chosen = self._chosen(self.step, images.device, branches)
        losses = (
            class_losses(self.network, views, chosen, batch["labels"])
            if self.mode.labelled
            else self.losses(views, chosen)
        )
        self.measured = {name: value.detach() for name, value in losses.items()}
        return losses

    def losses(self, views: Views, chosen: Chosen) -> Losses:
        """Eq. 2, 6 and 7, or the loss of boxes, for given views and given choices."""
        if self.teacher is not None:
            return self._clustered(self.teacher, views, chosen)
        if self.mode.boxed:
            return self._boxed(views, chosen)
        logits, targets, features = self._located(views, chosen)
        loss = position_loss(logits, targets)
        return {"position": loss, **measured(logits, targets, features), "loss": loss}

    def _located(self, views: Views, chosen: Chosen) -> tuple[Tensor, Tensor, Tensor]:
        """Location only: logits, targets, reference features. The gradient reaches the reference, too.

        As in the release, hidden reference patches are dropped before the encoder and queries get no
        position table. `zhai`: the patches of the reference itself, without table; the visible ones are looked at.
        """
        single, seen = self.mode.single, self._reference(views, chosen)
        if single:
            return self._logits(seen, None), views.reference.targets.flatten(1), seen
        queries = self.network.queries(views, chosen, positions=False)
        return self._logits(queries, seen), query_targets(views, chosen), seen

    def _boxed(self, views: Views, chosen: Chosen) -> Losses:
        """Location only, as one box per query: its mean patch looks at the visible part of the reference."""
        if self.network.box is None:
            raise RuntimeError(f"variant {self.variant.name} predicts no boxes")
        seen = self._reference(views, chosen)
        queries = whole_queries(
            self.network.queries(views, chosen, positions=False), chosen, len(views.focal.images)
        )
        boxes = torch.cat([views.random.boxes[:, None], views.focal.boxes.transpose(0, 1)], dim=1)
        wanted, counts = box_targets(views.reference.boxes[:, None], boxes)
        distance, overlap, plain = box_losses(self.network.box(queries, seen), wanted, counts)
        found = {"box_distance": distance, "box_overlap": overlap}
        return {**found, "iou": plain, "feature_std": feature_spread(seen), "loss": distance + overlap}

    def _reference(self, views: Views, chosen: Chosen) -> Tensor:
        """Encode the reference without a teacher: its visible patches, or for `zhai` all, which look at these."""
        single = self.mode.single
        return encode(
            self.backbone,
            views.reference.images,
            positions=not single,
            kept=None if single else chosen.visible,
            branches=chosen.of_view(0),
            context=chosen.visible if single else None,
        )

    def _clustered(self, teacher: Network, views: Views, chosen: Chosen) -> Losses:
        """With the feature loss: the teacher encodes the whole reference, cross-attention sees a part of it."""
        head = self.params.head
        features, assigned = self._assignments(teacher, views, chosen)
        queries, targets = self.network.queries(views, chosen, positions=True), query_targets(views, chosen)
        losses, read = {}, {"feature_std": feature_spread(features)}
        if self.has_pretext:
            logits = self._logits(queries, features[:, chosen.visible])
            losses["position"] = position_loss(logits, targets)
            read = measured(logits, targets, features)
        wanted = assigned.gather(1, targets.clamp(min=0)[..., None].expand(-1, -1, head.prototypes))
        losses["cluster"], losses["me_max"] = feature_loss(
            self.network.projected(queries).flatten(0, 1),
            wanted.flatten(0, 1),
            (targets >= 0).flatten(),
            head.temperature,
        )
        read["prototypes"] = prototype_use(losses["me_max"], head.prototypes)
        read["target_entropy"] = target_entropy(assigned.flatten(0, 1))
        return {**losses, **read, "loss": torch.stack(list(losses.values())).sum()}

    @torch.no_grad()
    def _assignments(self, teacher: Network, views: Views, chosen: Chosen) -> tuple[Tensor, Tensor]:
        """Return the teacher's features (B, N_ref, dim) and balanced assignments (B, N_ref, prototypes)."""
        features = encode(teacher.backbone, views.reference.images, branches=chosen.of_view(0))
        sharp = (teacher.projected(features) / self.params.head.sharpening).softmax(-1)
        balanced = balance(sharp.flatten(0, 1), self.params.head.sinkhorn)
        return features, balanced.unflatten(0, sharp.shape[:2])

    def _logits(self, queries: Tensor, reference: Tensor | None) -> Tensor:
        if self.network.position is None:
            raise RuntimeError(f"variant {self.variant.name} has no position classifier")
        logits: Tensor = self.network.position(queries, reference)
        return full_precision(logits)

    def _first(self, size: int) -> int:
        """Return the index in the global batch of the next `size` pictures of this process."""
        part, self.part = self.part, self.part + 1
        return (process_rank() * self.params.train.accumulate + part) * size

    def _views(self, images: Tensor, step: int, first: int) -> tuple[Views, Tensor]:
        """Return the views of a batch, and the uniform numbers for stochastic depth (B, views, layers, 2)."""
        count = 2 + self.params.views.focal_count
        layers = len(list(self.backbone.trunk.get_submodule("network.blocks").children()))
        indices = range(first, first + len(images))
        uniform = draws(self.params.seed, step, indices, count * (NUMBERS + 2 * layers))
        cut, depth = uniform.split([count * NUMBERS, count * 2 * layers], dim=1)
        views = make_views(
            images, cut.unflatten(1, (count, NUMBERS)), self.params.views, self.backbone.spec.stride
        )
        return views, depth.unflatten(1, (count, layers, 2))

    def _chosen(self, step: int, device: torch.device, branches: Tensor | None) -> Chosen:
        patches = reference_patches(self.params, self.backbone)
        visible, kept = choose_patches(self.variant, patches, step)
        return Chosen(moved(visible, device), moved(kept, device), branches)

    @torch.no_grad()
    def pretext(self, images: Tensor, first: int) -> Pretext:
        """Predict positions in views of `images` (B, 3, H, W), the `first`-th and following of a data set.

        Views and visible patches depend on the seed and on `first` alone; there is no stochastic depth.
        """
        views, _ = self._views(images, PRETEXT_STEP, first)
        chosen = self._chosen(PRETEXT_STEP + first, images.device, None)
        if self.teacher is not None:
            seen = encode(self.teacher.backbone, views.reference.images)[:, chosen.visible]
            logits = self._logits(self.network.queries(views, chosen, positions=True), seen)
            targets = query_targets(views, chosen)
        else:
            logits, targets, _ = self._located(views, chosen)
        return counted(logits, targets, views, chosen, self.mode.single)

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """Return what decays, and what does not."""
        return decay_groups(self.network, params.weight_decay)

    def before_step(self, step: int) -> None:
        """Remember the step: views and visible patches are drawn for it."""
        self.step, self.part = step, 0

    def after_step(self, step: int) -> None:
        """Move the teacher towards the new weights (eq. 8)."""
        if self.teacher is not None:
            move_towards(
                self.teacher,
                self.network,
                teacher_momentum(self.params.momentum, step, self.params.train.steps),
            )

    def finish(self, task: Task) -> None:
        """Print how the run has collapsed, if it has."""
        collapsed = diagnosis({name: float(value) for name, value in self.measured.items()})
        if collapsed and first_process():
            print(f"loca {self.variant.name} has {collapsed}", file=sys.stderr)

    def embed(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> unit-length mean patch features (B, D)."""
        return normalize(pool(self.backbone(images), "average").float(), dim=1)

    def description(self) -> dict[str, Any]:
        """Return how to build the encoder again."""
        return {"backbone": asdict(self.backbone.spec)}

    @classmethod
    def rebuild(
        cls, variant: LocaVariant, description: Mapping[str, Any], weights: Mapping[str, Tensor]
    ) -> Self:
        """Build encoder and heads; the heads of a teacher stay random, since predicting does not use them."""
        return cls(variant, backbone_from_spec(BackboneSpec(**description["backbone"])))

    def save(self, folder: Path) -> None:
        """Write the encoder as an ordinary backbone folder, and beside it what predicts positions."""
        save_backbone(self.backbone, folder)
        heads = {
            name: value for name, value in self.state_dict().items() if not name.startswith(self.unsaved)
        }
        save_weights(heads, folder / HEADS)

    @classmethod
    def load(cls, variant: LocaVariant, description: Mapping[str, Any], folder: Path) -> Self:
        """Read what `save` wrote. Raises UserError when the heads do not fit the description."""
        heads = read_tensors(folder / HEADS)
        method = cls.rebuild(variant, description, heads)
        load_tensors(method.backbone.trunk, folder / WEIGHTS)
        method.take_up(heads, folder)
        return method


METHOD = Loca
