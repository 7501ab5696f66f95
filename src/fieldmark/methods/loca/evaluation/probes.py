"""Linear probes and fine-tuning of every variant on the task's masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.evaluation.segmentation import NO_LABEL, Overlaps, confusion_matrix
from fieldmark.methods.loca.evaluation.tuning import Guessed, Mask, guessed, shown, tune
from fieldmark.methods.loca.model.dense import DenseParams
from fieldmark.methods.loca.model.method import Loca
from fieldmark.protocols.dense import LinearDecoder, feature_maps, fit_probe
from fieldmark.protocols.pairs import Pairs


@dataclass(frozen=True)
class Dense:
    """What one model's features are worth on the test pictures, and what it makes of the shown ones."""

    probes: Mapping[float, Overlaps]  # by the fraction of the labels, rising
    tunings: Mapping[float, Overlaps]  # of the fine-tuned models, likewise; empty where there is none
    features: Tensor  # (S, D, h, w) of the shown pictures
    masks: list[
        Mask
    ]  # (H, W) each: fine-tuned on the most labels where it was, else by the probe on the most

    @property
    def probe(self) -> Overlaps:
        """The probe on the largest fraction."""
        return self.probes[max(self.probes)]

    @property
    def tuned(self) -> Overlaps | None:
        """The model that was fine-tuned on the largest fraction, if any was."""
        return self.tunings[max(self.tunings)] if self.tunings else None


DenseRuns = Mapping[str, Sequence[Dense]]  # of each variant, one per seed


def tuned(by_seed: Sequence[Dense]) -> list[Overlaps]:
    """Return what the fine-tuned models of several seeds score; nothing where none was fine-tuned."""
    return [dense.tuned for dense in by_seed if dense.tuned]


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
    decoders, found = {}, {}
    for fraction, indices in chosen.items():
        few = torch.from_numpy(indices).to(train_features.device)
        recipe, labelled = params.probe.recipe(len(few)), masks.to(train_features.device)[few]
        decoders[fraction] = fit_probe(train_features[few], labelled, train.classes, recipe)
        found[fraction] = guessed(_scores(decoders[fraction], test_features), test)
    tuned = _tuned(name, model, params, decoders, train, test)
    best = (tuned or found)[max(tuned or found)]
    return Dense(_counts(found), _counts(tuned), test_features[shown(test)].cpu(), best.masks)


def _tuned(
    name: str,
    model: Loca,
    params: DenseParams,
    decoders: Mapping[float, LinearDecoder],
    train: Pairs,
    test: Pairs,
) -> dict[float, Guessed]:
    """Fine-tune one model on each fraction of the labels, from the probe on the same ones or else on the most."""
    listed = params.tuned is None or name in params.tuned or model.mode.given
    if params.finetune is None or not listed:
        return {}
    tuned = {}
    for fraction in params.tuned_fractions:
        probe = decoders.get(fraction, decoders[max(decoders)])
        labelled = train.taken(train.few(fraction, params.probe.seed))
        run = f"{name}/{model.params.seed}" + ("" if fraction == 1 else f"/{fraction:.3g}")
        tuned[fraction] = tune(run, model.backbone, probe, params, params.finetune, labelled, test)
    return tuned


def _counts(found: Mapping[float, Guessed]) -> dict[float, Overlaps]:
    return {fraction: one.overlaps for fraction, one in found.items()}


@torch.inference_mode()
def _scores(decoder: LinearDecoder, features: Tensor) -> Tensor:
    scores: Tensor = decoder(features)
    return scores
