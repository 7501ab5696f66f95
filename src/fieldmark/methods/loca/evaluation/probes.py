"""Linear probes and fine-tuning of every variant on the task's masks."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.files import sha256_file
from fieldmark.engine.params import TrainParams
from fieldmark.evaluation.segmentation import NO_LABEL, Overlaps, confusion_matrix
from fieldmark.figures.chosen import evenly
from fieldmark.methods.loca.model.dense import DenseParams
from fieldmark.methods.loca.model.method import Loca
from fieldmark.protocols.dense import LinearDecoder, feature_maps, fine_tune, fit_probe, overlaps
from fieldmark.protocols.pairs import Pairs
from fieldmark.vision.backbones import Backbone, digest

FINE_TUNED = ("random", "supervised", "LOCA")  # and what was trained elsewhere: the paper's comparison
SHOWN = 6  # test pictures in the figures


@dataclass(frozen=True)
class Dense:
    """What one model's features are worth on the test pictures, and what it makes of the shown ones."""

    probes: Mapping[float, Overlaps]  # by the fraction of the labels, rising
    tuned: Overlaps | None
    features: Tensor  # (S, D, h, w) of the shown pictures
    scores: Tensor  # (S, C, h, w) of the probe on all labels, or of the fine-tuned model where there is one

    @property
    def probe(self) -> Overlaps:
        """The probe on the largest fraction."""
        return self.probes[max(self.probes)]


DenseRuns = Mapping[str, Sequence[Dense]]  # of each variant, one per seed


def tuned(by_seed: Sequence[Dense]) -> list[Overlaps]:
    """Return what the fine-tuned models of several seeds score; nothing where none was fine-tuned."""
    return [dense.tuned for dense in by_seed if dense.tuned]


def shown(pairs: Pairs) -> list[int]:
    """Return the indices of the pictures that the figures show."""
    return evenly(len(pairs), SHOWN)


def floor(train: Pairs, test: Pairs) -> Overlaps:
    """Return what it scores to call every pixel of the test by the most frequent label of the training masks."""
    pixels = np.zeros(NO_LABEL + 1, np.int64)
    for index in range(len(train)):
        pixels += np.bincount(train.mask(index).ravel(), minlength=len(pixels))
    label = int(np.argmax(pixels[:NO_LABEL]))
    masks = [test.mask(index) for index in range(len(test))]
    return Overlaps.of(
        [confusion_matrix(np.full_like(mask, label), mask, test.classes, NO_LABEL) for mask in masks]
    )


def judge(
    models: Mapping[str, Sequence[Loca]], params: DenseParams, train: Pairs, test: Pairs
) -> dict[str, list[Dense]]:
    """Train probes on features of `train`, computed once per model, and score them on `test`."""
    largest = train.few(max(params.fractions), params.probe.seed)
    masks = train.taken(largest).small_masks(params.images.side // params.loss_stride)
    chosen = {
        fraction: np.searchsorted(largest, train.few(fraction, params.probe.seed))
        for fraction in params.fractions
    }
    dense: dict[str, list[Dense]] = {name: [] for name in models}
    for name, model in ((name, model) for name, by_seed in models.items() for model in by_seed):
        test_features = feature_maps(model.backbone, test, params.images, f"{name} test")
        train_features = feature_maps(model.backbone, train.taken(largest), params.images, f"{name} train")
        features = train_features, masks, test_features
        dense[name].append(_judged(name, model, params, (train, test), features, chosen))
    return dense


def _judged(
    name: str,
    model: Loca,
    params: DenseParams,
    pairs: tuple[Pairs, Pairs],
    features: tuple[Tensor, Tensor, Tensor],
    chosen: Mapping[float, NDArray[np.int64]],
) -> Dense:
    """Probe and fine-tune one model.

    `features` are those of training pictures, their masks, and those of test pictures; `chosen` says which of the
    training pictures each fraction of the labels has.
    """
    (train, test), (train_features, masks, test_features) = pairs, features
    probes = {}
    for fraction, indices in chosen.items():
        few = torch.from_numpy(indices).to(train_features.device)
        recipe, labelled = params.probe.recipe(len(few)), masks.to(train_features.device)[few]
        decoder = fit_probe(train_features[few], labelled, train.classes, recipe)
        scores = _scores(decoder, test_features)
        probes[fraction] = overlaps(scores, test)
    tuned = None
    if params.finetune and (name in FINE_TUNED or model.mode.given):
        run = f"{name}/{model.params.seed}"
        scores = _tuned_scores(run, model.backbone, decoder, params, params.finetune, (train, test))
        tuned = overlaps(scores, test)
    pictures = shown(test)
    return Dense(probes, tuned, test_features[pictures].cpu(), scores[pictures].cpu())


@torch.inference_mode()
def _scores(decoder: LinearDecoder, features: Tensor) -> Tensor:
    scores: Tensor = decoder(features)
    return scores


def _tuned_scores(
    name: str,
    backbone: Backbone,
    probe: LinearDecoder,
    params: DenseParams,
    recipe: TrainParams,
    pairs: tuple[Pairs, Pairs],
) -> Tensor:
    """Fine-tune a copy of the backbone; return its scores of the test pictures. A killed run continues."""
    (train, test), run = pairs, f"evaluate-loca/{name}"
    pictures = [sha256_file(path) for path in sorted(train.task.store.folder.glob("*.arrow"))]
    ids = [str(key) for key in train.subset.frame["id"]]
    checkpoints = train.task.checkpoints(run, params.model_dump(mode="json"), digest(backbone), ids, pictures)
    copied = copy.deepcopy(backbone)
    model, _ = fine_tune(copied, probe, train, params.images, recipe, params.loss_stride, checkpoints, run)
    scores = test.task.run(model, model.scores, test.subset, params.images, f"{name} fine-tuned")
    checkpoints.clear()
    return scores
