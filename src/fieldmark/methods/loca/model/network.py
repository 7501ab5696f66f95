"""Encoder and heads of one mode, and how they turn views into predictions."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fieldmark.datasets.data.batches.loading import mix
from fieldmark.engine.precision import full_precision
from fieldmark.methods.loca.model.encoder import encode
from fieldmark.methods.loca.model.heads import BoxHead, PositionHead, ProjectionHead
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.methods.loca.model.variants import LocaVariant
from fieldmark.methods.loca.model.views import Views
from fieldmark.vision.backbones import Backbone

ROUNDING = 1e-9  # (1 - 0.8) * 5 is a little less than 1


@dataclass(frozen=True)
class Chosen:
    """What is drawn besides the views; patches are chosen once for the whole batch, as in the release."""

    visible: Tensor  # (V,) reference patches that cross-attention sees
    kept: Tensor  # (M,) patches of the random query that are encoded
    branches: Tensor | None  # (B, 2 + focal_count, layers, 2) factors of stochastic depth; None: all 1

    def of_view(self, number: int) -> Tensor | None:
        """Factors (B, layers, 2) of one view of each picture."""
        return None if self.branches is None else self.branches[:, number]

    def of_focal(self) -> Tensor | None:
        """Factors (focal_count * B, layers, 2) of the focal queries, view by view."""
        return None if self.branches is None else self.branches[:, 2:].transpose(0, 1).flatten(0, 1)


class Network(nn.Module):
    """Encoder, and the heads that the mode trains: for positions, clustering, both, boxes or classes."""

    def __init__(self, backbone: Backbone, variant: LocaVariant, classes: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        params, mode, encoder = variant.params, variant.parts.mode, backbone.trunk.network
        patches = reference_patches(params, backbone)
        self.position = PositionHead(encoder, patches, not mode.single) if mode.located else None
        self.box = BoxHead(encoder) if mode.boxed else None
        self.projection = ProjectionHead(backbone.spec.dim, params.head) if mode.clustered else None
        self.classifier = nn.Linear(backbone.spec.dim, classes) if classes else None
        if mode.single:  # its patches are never told where they are
            backbone.trunk.get_parameter("network.pos_embed").requires_grad_(False).zero_()

    def queries(self, views: Views, chosen: Chosen, positions: bool) -> Tensor:
        """Encode all queries: (B, M + focal_count * N, dim), the random query's patches first."""
        random = encode(
            self.backbone,
            views.random.images,
            positions=positions,
            kept=chosen.kept,
            branches=chosen.of_view(1),
        )
        focal = encode(
            self.backbone, views.focal.images.flatten(0, 1), positions=positions, branches=chosen.of_focal()
        )
        return torch.cat([random, per_picture(focal.unflatten(0, views.focal.images.shape[:2]))], dim=1)

    def projected(self, features: Tensor) -> Tensor:
        """(..., dim) -> cosines with the prototypes (..., prototypes), in full precision."""
        if self.projection is None:
            raise RuntimeError("a mode without feature loss has no prototypes")
        scores: Tensor = self.projection(features)
        return full_precision(scores)


def per_picture(values: Tensor) -> Tensor:
    """(focal_count, B, N, ...) -> (B, focal_count * N, ...)."""
    return values.transpose(0, 1).flatten(1, 2)


def whole_queries(queries: Tensor, chosen: Chosen, focal: int) -> Tensor:
    """Turn the patches of `Network.queries` into one mean for each query, (B, 1 + focal, dim): the random one first."""
    random, others = queries.split([len(chosen.kept), queries.shape[1] - len(chosen.kept)], dim=1)
    return torch.cat([random.mean(1, keepdim=True), others.unflatten(1, (focal, -1)).mean(2)], dim=1)


def query_targets(views: Views, chosen: Chosen) -> Tensor:
    """Return h(i) of the patches that `Network.queries` encodes, (B, M + focal_count * N)."""
    random = views.random.targets.flatten(1)[:, chosen.kept]
    return torch.cat([random, per_picture(views.focal.targets.flatten(2))], dim=1)


def reference_patches(params: LocaParams, backbone: Backbone) -> int:
    """Return the number of patches of the reference view, N_ref."""
    return (params.views.reference_size // backbone.spec.stride) ** 2


def visible_count(eta: float, patches: int) -> int:
    """Return how many of the reference's patches stay visible: the fraction 1 - eta, rounded down, at least 1."""
    return max(1, int((1 - eta) * patches + ROUNDING))


def choose_patches(variant: LocaVariant, patches: int, step: int) -> tuple[Tensor, Tensor]:
    """Draw the visible patches of the reference and the kept ones of the random query: a function of the step."""
    params = variant.params
    generator = torch.Generator().manual_seed(mix(params.seed, step))
    count = visible_count(variant.parts.eta, patches)
    if params.masking == "unstructured":
        visible = torch.randperm(patches, generator=generator)[:count]
    else:
        last = patches - count if params.masking == "consecutive" else 0
        visible = torch.randint(last + 1, (1,), generator=generator) + torch.arange(count)
    kept = torch.randperm(patches, generator=generator)[: params.views.random_tokens]
    return visible, kept
