"""Where CLIPs come from: trained on pictures and their captions, or taken with their weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from fieldmark.base.errors import UserError
from fieldmark.clip.contrastive import ContrastiveClip
from fieldmark.clip.schema import ClipParams
from fieldmark.engine.monitor import Point
from fieldmark.engine.task import Subset, Task
from fieldmark.engine.training import train_on
from fieldmark.towers.clip import Clip, create_clip
from fieldmark.towers.templates import fields, fill
from fieldmark.vision.backbones import load_weights

LABEL = "label"  # in a template: each label of a picture in its turn, or its class


def make_clip(params: ClipParams, task: Task, run: str) -> tuple[Clip, list[Point]]:
    """Return the CLIP and its training curve (empty with pretrained weights).

    Raises UserError for a network that open_clip refuses, for weights that do not fit it, and for
    training pictures without any caption.
    """
    torch.manual_seed(params.train.seed if params.train else 0)
    images = params.images
    clip = create_clip(
        params.arch,
        params.config,
        params.pretrained,
        size=images.side,
        squash=images.shape == "square",
        mean=params.mean,
        std=params.std,
    )
    curve = []
    if params.image_weights:
        load_weights(clip.image_network, Path(params.image_weights), {})
    if params.train:
        captions = sentences_of(task.manifest, task.subset("train"), params.sentences)
        if not all(captions):
            silent = captions.count([])
            raise UserError(
                f"{silent} training pictures of data set '{params.dataset}' have no caption to train a CLIP on"
            )
        model = ContrastiveClip(clip, captions, params.train.seed, params.image_lr)
        curve = train_on(model, images, params.train, task, run)
    clip.eval().requires_grad_(False)
    return clip, curve


def sentences_of(manifest: pd.DataFrame, subset: Subset, templates: Sequence[str] = ()) -> list[list[str]]:
    """Return, for each picture of `subset`, its captions and every template that its annotations can fill.

    A template that names `label` gives one sentence for each label of a picture, or one for its class.
    """
    rows = rows_of(manifest, subset)
    sentences = []
    columns = (rows["captions"], rows["attributes"], rows["labels"], rows["class_name"])
    for captions, attributes, several, name in zip(*columns, strict=True):
        labels = several or ([name] if isinstance(name, str) else [])
        values = {key: str(value) for key, value in json.loads(attributes).items()} if templates else {}
        filled = [sentence for template in templates for sentence in _filled(template, values, labels)]
        sentences.append([*(captions or []), *filled])
    return sentences


def _filled(template: str, values: Mapping[str, str], labels: Sequence[str]) -> list[str]:
    """Return the sentences that annotations make of a template: one, or one for each label, or none."""
    told = [{**values, LABEL: label} for label in labels] if LABEL in fields(template) else [values]
    return [sentence for known in told if (sentence := fill(template, known)) is not None]


def rows_of(manifest: pd.DataFrame, subset: Subset) -> pd.DataFrame:
    """Return the manifest rows of the pictures of `subset`, in its order."""
    return manifest.set_index("id", drop=False).loc[subset.frame["id"]]
