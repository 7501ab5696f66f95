"""Fine-tuning a copy of a model's backbone on labelled pictures, and what it then makes of the test pictures."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fieldmark.base.files import sha256_file
from fieldmark.evaluation.segmentation import Overlaps
from fieldmark.figures.chosen import evenly
from fieldmark.methods.loca.model.dense import DenseParams
from fieldmark.methods.loca.model.tuning import TuneParams
from fieldmark.protocols.dense import LinearDecoder, fine_tune, new_decoder, overlaps, predict
from fieldmark.protocols.pairs import Pairs
from fieldmark.protocols.windows import slide
from fieldmark.vision.backbones import Backbone, digest

SHOWN = 6  # test pictures in the figures
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Guessed:
    """What a model makes of the test pictures: pixel counts, and the masks (H, W) of those in the figures."""

    overlaps: Overlaps
    masks: list[Mask]


def shown(pairs: Pairs) -> list[int]:
    """Return the indices of the pictures that the figures show."""
    return evenly(len(pairs), SHOWN)


def guessed(scores: Tensor, test: Pairs) -> Guessed:
    """Return what scores (N, C, h, w) of the test pictures make of them."""
    masks = []
    for index in shown(test):
        height, width = test.mask(index).shape
        masks.append(predict(scores[index : index + 1], (height, width))[0].byte().numpy())
    return Guessed(overlaps(scores, test), masks)


def tune(
    name: str,
    backbone: Backbone,
    probe: LinearDecoder,
    params: DenseParams,
    recipe: TuneParams,
    labelled: Pairs,
    test: Pairs,
) -> Guessed:
    """Fine-tune a copy of the backbone on `labelled`; return what it makes of `test`. A killed run continues."""
    run, task = f"evaluate-loca/{name}", labelled.task
    pictures = [sha256_file(path) for path in sorted(task.store.folder.glob("*.arrow"))]
    ids = [str(key) for key in labelled.subset.frame["id"]]
    checkpoints = task.checkpoints(run, params.model_dump(mode="json"), digest(backbone), ids, pictures)
    model, _ = fine_tune(
        copy.deepcopy(backbone),
        _begun(probe, backbone, labelled, params, recipe.seed),
        labelled,
        params.windows or params.images,
        recipe.recipe(len(labelled)),
        params.windows.loss_stride if params.windows else params.loss_stride,
        checkpoints,
        run,
        params.drop_path,
    )
    title = f"{name} fine-tuned"
    if params.windows:
        found = Guessed(*slide(model, model.scores, test, params.windows, shown(test), title))
    else:
        found = guessed(test.task.run(model, model.scores, test.subset, params.images, title), test)
    checkpoints.clear()
    return found


def _begun(
    probe: LinearDecoder, backbone: Backbone, labelled: Pairs, params: DenseParams, seed: int
) -> LinearDecoder:
    if params.decoder == "probe":
        return probe
    return new_decoder(backbone.spec.dim, torch.ones(labelled.classes, dtype=torch.bool), seed)
