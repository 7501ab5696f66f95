"""Linear probes and fine-tuning of every variant on the task's masks."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.engine.checkpoint import RESUME, CheckpointFolder, fingerprint
from fieldmark.evaluation.segmentation import Overlaps
from fieldmark.methods.loca.model.dense import DenseParams
from fieldmark.methods.loca.model.method import Loca
from fieldmark.protocols.dense import LinearDecoder, feature_maps, fine_tune, fit_probe, overlaps
from fieldmark.protocols.pairs import Pairs
from fieldmark.runtime.inference import run_over
from fieldmark.vision.backbones import Backbone

FINE_TUNED = ("random", "supervised", "LOCA")  # the comparison that the paper is about
SHOWN = 6  # test pictures in the figures


@dataclass(frozen=True)
class Dense:
    """What one variant's features are worth on the test pictures, and what it makes of the shown ones."""

    probes: Mapping[float, Overlaps]  # by the fraction of the labels, rising
    tuned: Overlaps | None
    maps: Tensor  # (S, D, h, w) features of the shown pictures
    scores: Tensor  # (S, C, h, w) of the probe on all labels, or of the fine-tuned model where there is one

    @property
    def probe(self) -> Overlaps:
        """The probe on the largest fraction."""
        return self.probes[max(self.probes)]


def shown(pairs: Pairs) -> list[int]:
    """Choose the pictures to show: the middle of each of a few equal parts, so that nobody picks them."""
    parts = min(SHOWN, len(pairs))
    return [int((part + 0.5) * len(pairs) / parts) for part in range(parts)]


def judge(models: Mapping[str, Loca], params: DenseParams, train: Pairs, test: Pairs) -> dict[str, Dense]:
    """Train probes on features of `train`, computed once a variant, and score them on `test`."""
    most = train.few(max(params.fractions), params.probe.seed)
    masks = train.taken(most).small_masks(params.images.side // params.loss_stride)
    shares = {
        fraction: np.searchsorted(most, train.few(fraction, params.probe.seed))
        for fraction in params.fractions
    }
    found = {}
    for name, model in models.items():
        tests = feature_maps(model.backbone, test, params.images, f"{name} test")
        maps = feature_maps(model.backbone, train.taken(most), params.images, f"{name} train")
        found[name] = _judged(name, model.backbone, params, (train, test), (maps, masks, tests), shares)
    return found


def _judged(
    name: str,
    backbone: Backbone,
    params: DenseParams,
    pairs: tuple[Pairs, Pairs],
    features: tuple[Tensor, Tensor, Tensor],
    shares: Mapping[float, NDArray[np.int64]],
) -> Dense:
    """Probe and fine-tune one variant. `features` of training pictures, their masks, and of test pictures."""
    (train, test), (maps, masks, tests) = pairs, features
    probes, scores = {}, tests
    for fraction, share in shares.items():
        few = torch.from_numpy(share).to(maps.device)
        decoder = fit_probe(maps[few], masks.to(maps.device)[few], train.classes, params.probe)
        scores = _scores(decoder, tests)
        probes[fraction] = overlaps(scores, test)
    tuned = None
    if params.finetune and name in FINE_TUNED:
        scores = _tuned_scores(name, backbone, params, train, test)
        tuned = overlaps(scores, test)
    chosen = shown(test)
    return Dense(probes, tuned, tests[chosen].cpu(), scores[chosen].cpu())


@torch.inference_mode()
def _scores(decoder: LinearDecoder, maps: Tensor) -> Tensor:
    scores: Tensor = decoder(maps)
    return scores


def _tuned_scores(name: str, backbone: Backbone, params: DenseParams, train: Pairs, test: Pairs) -> Tensor:
    """Fine-tune a copy of the backbone; its scores of the test pictures. A killed run goes on where it was."""
    run = f"loca-finetune-{name}"
    key = fingerprint(
        [params.model_dump(mode="json"), _weights(backbone), list(train.subset.frame["id"])],
        sorted(train.task.store.folder.glob("*.arrow")),  # the pictures and masks as they were prepared
    )
    checkpoints = CheckpointFolder(RESUME, run, key)
    model, _ = fine_tune(copy.deepcopy(backbone), train, params, checkpoints, run)
    scores = run_over(model, model.scores, test.task, test.subset, params.images, f"{name} fine-tuned")
    checkpoints.clear()
    return scores


def _weights(backbone: Backbone) -> str:
    digest = hashlib.sha256()
    for value in backbone.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
