"""LOCA as the loop sees it: views, losses, the teacher, saving and loading."""

import copy
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fieldmark.base.errors import UserError
from fieldmark.contract.method import WEIGHTS, Method, MethodParams, save_weights
from fieldmark.engine.ema import move_towards
from fieldmark.engine.params import TrainParams
from fieldmark.engine.precision import full_precision
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses, ParameterGroup
from fieldmark.methods.loca.model.collapse import diagnosis, feature_spread, prototype_use, target_entropy
from fieldmark.methods.loca.model.encoder import build_encoder, encode, kept_branches
from fieldmark.methods.loca.model.losses import balance, feature_loss, position_loss
from fieldmark.methods.loca.model.network import (
    Chosen,
    Network,
    choose_patches,
    query_targets,
    reference_patches,
)
from fieldmark.methods.loca.model.params import LocaParams
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
DECAYED_VECTORS = ("attn.qkv.bias", "cross.query.bias", "cross.key_value.bias")
PRETEXT_STEP = 2**40  # views of the test pictures: those of a step that training never reaches


@dataclass(frozen=True)
class Pretext:
    """What the position head makes of pictures it has not seen."""

    views: Views
    visible: Tensor  # (V,) reference patches that it could look at
    predicted: Tensor  # (n, B, rows, columns) long, of the focal queries; n = 0 for `zhai`
    correct: Tensor  # (B,) patches of any query put at the right position
    valid: Tensor  # (B,) patches of any query that lie within the reference


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
            self._classified(views, chosen, batch["labels"])
            if self.mode.labelled
            else self.losses(views, chosen)
        )
        self.measured = {name: value.detach() for name, value in losses.items()}
        return losses

    def losses(self, views: Views, chosen: Chosen) -> Losses:
        """Eq. 2, 6 and 7 for given views and given choices."""
        if self.teacher is not None:
            return self._clustered(self.teacher, views, chosen)
        logits, targets, features = self._located(views, chosen)
        loss = position_loss(logits, targets)
        return {"position": loss, **_measured(logits, targets, features), "loss": loss}

    def _classified(self, views: Views, chosen: Chosen, labels: Tensor) -> Losses:
        """Cross-entropy of the mean patch features of both large views against the classes `labels` (B,)."""
        if self.network.classifier is None:
            raise RuntimeError("supervised has no classifier once it is trained")
        seen = [
            encode(self.backbone, view.images, branches=chosen.of_view(number)).mean(1)
            for number, view in enumerate((views.reference, views.random))
        ]
        logits = full_precision(self.network.classifier(torch.cat(seen)))
        loss = cross_entropy(logits, labels.repeat(len(seen)))
        return {"cross_entropy": loss, "loss": loss}

    def _located(self, views: Views, chosen: Chosen) -> tuple[Tensor, Tensor, Tensor]:
        """Location only: logits, targets, reference features. The gradient reaches the reference, too.

        As in the release, hidden reference patches are dropped before the encoder and queries get no
        position table. `zhai`: the patches of the reference itself, without table; the visible ones are looked at.
        """
        single = self.mode.single
        seen = encode(
            self.backbone,
            views.reference.images,
            positions=not single,
            kept=None if single else chosen.visible,
            branches=chosen.of_view(0),
            context=chosen.visible if single else None,
        )
        if single:
            return self._logits(seen, None), views.reference.targets.flatten(1), seen
        queries = self.network.queries(views, chosen, positions=False)
        return self._logits(queries, seen), query_targets(views, chosen), seen

    def _clustered(self, teacher: Network, views: Views, chosen: Chosen) -> Losses:
        """With the feature loss: the teacher encodes the whole reference, cross-attention sees a part of it."""
        head = self.params.head
        features, assigned = self._assignments(teacher, views, chosen)
        queries, targets = self.network.queries(views, chosen, positions=True), query_targets(views, chosen)
        losses, measured = {}, {"feature_std": feature_spread(features)}
        if self.has_pretext:
            logits = self._logits(queries, features[:, chosen.visible])
            losses["position"] = position_loss(logits, targets)
            measured = _measured(logits, targets, features)
        wanted = assigned.gather(1, targets.clamp(min=0)[..., None].expand(-1, -1, head.prototypes))
        losses["cluster"], losses["me_max"] = feature_loss(
            _projected(self.network, queries).flatten(0, 1),
            wanted.flatten(0, 1),
            (targets >= 0).flatten(),
            head.temperature,
        )
        measured["prototypes"] = prototype_use(losses["me_max"], head.prototypes)
        measured["target_entropy"] = target_entropy(assigned.flatten(0, 1))
        return {**losses, **measured, "loss": torch.stack(list(losses.values())).sum()}

    @torch.no_grad()
    def _assignments(self, teacher: Network, views: Views, chosen: Chosen) -> tuple[Tensor, Tensor]:
        """Return the teacher's features (B, N_ref, dim) and balanced assignments (B, N_ref, prototypes)."""
        features = encode(teacher.backbone, views.reference.images, branches=chosen.of_view(0))
        sharp = (_projected(teacher, features) / self.params.head.sharpening).softmax(-1)
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
        predicted = logits.argmax(-1)
        correct, valid = (predicted == targets).sum(1), (targets >= 0).sum(1)
        shape = views.focal.targets.shape
        focal = predicted[:, len(chosen.kept) :]
        if self.mode.single:
            return Pretext(views, chosen.visible, focal.new_empty(0, *shape[1:]), correct, valid)
        focal = focal.unflatten(1, (shape[0], -1)).transpose(0, 1).unflatten(2, shape[2:])
        return Pretext(views, chosen.visible, focal, correct, valid)

    def parameter_groups(self, params: TrainParams) -> list[ParameterGroup]:
        """As in the release: decay for all but vectors, yet for the biases of query, key and value, too."""
        decayed: list[nn.Parameter] = []
        plain: list[nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                decays = parameter.ndim > 1 or name.endswith(DECAYED_VECTORS)
                (decayed if decays else plain).append(parameter)
        return [ParameterGroup(decayed, params.weight_decay), ParameterGroup(plain, 0.0)]

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


def count_classes(task: Task) -> int:
    """Return the number of classes of the training pictures. Raises UserError when they have none."""
    train = task.subset("train")
    if not len(train) or train.labels.min() < 0:
        raise UserError(
            "loca.variants: `supervised` learns classes, and the pictures of this split have none; "
            "leave it out, or compare with a backbone of judge.loca.backbones"
        )
    return len(train.class_names)


def teacher_momentum(start: float, step: int, steps: int) -> float:
    """Return the teacher's momentum of eq. 8: from `start` at step 0 along a cosine to 1 at the end."""
    return 1.0 - (1.0 - start) * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def _projected(network: Network, features: Tensor) -> Tensor:
    if network.projection is None:
        raise RuntimeError("a mode without feature loss has no prototypes")
    scores: Tensor = network.projection(features)
    return full_precision(scores)


def _measured(logits: Tensor, targets: Tensor, features: Tensor) -> dict[str, Tensor]:
    """Return the fraction of valid patches put at the right position, and the spread of the reference's features."""
    valid = targets >= 0
    correct = (logits.argmax(-1) == targets) & valid
    return {"accuracy": correct.sum() / valid.sum().clamp(min=1), "feature_std": feature_spread(features)}


METHOD = Loca
