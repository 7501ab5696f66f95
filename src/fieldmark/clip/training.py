"""Where CLIPs come from: trained on pictures and their captions, or taken with their weights."""

import json
from collections.abc import Sequence

import pandas as pd
import torch

from fieldmark.base.errors import UserError
from fieldmark.clip.contrastive import ContrastiveClip
from fieldmark.clip.schema import ClipParams
from fieldmark.engine.monitor import Point
from fieldmark.engine.task import Subset, Task
from fieldmark.engine.training import train_on
from fieldmark.towers.clip import Clip, create_clip
from fieldmark.towers.templates import fill


def make_clip(params: ClipParams, task: Task, run: str) -> tuple[Clip, list[Point]]:
    """Return the CLIP and its training curve (empty with pretrained weights).

    Raises UserError for a network that open_clip refuses and for training pictures without any caption.
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
    if params.train:
        captions = sentences_of(task.manifest, task.subset("train"), params.sentences)
        if not all(captions):
            silent = captions.count([])
            raise UserError(
                f"{silent} training pictures of data set '{params.dataset}' have no caption to train a CLIP on"
            )
        model = ContrastiveClip(clip, captions, params.train.seed)
        curve = train_on(model, images, params.train, task, run)
    clip.eval().requires_grad_(False)
    return clip, curve


def sentences_of(manifest: pd.DataFrame, subset: Subset, templates: Sequence[str] = ()) -> list[list[str]]:
    """Return, for each picture of `subset`, its captions and every template that its annotations can fill."""
    rows = rows_of(manifest, subset)
    sentences = []
    for captions, attributes in zip(rows["captions"], rows["attributes"], strict=True):
        values = {key: str(value) for key, value in json.loads(attributes).items()} if templates else {}
        filled = [fill(template, values) for template in templates]
        sentences.append([*(captions or []), *(sentence for sentence in filled if sentence is not None)])
    return sentences


def rows_of(manifest: pd.DataFrame, subset: Subset) -> pd.DataFrame:
    """Return the manifest rows of the pictures of `subset`, in its order."""
    return manifest.set_index("id", drop=False).loc[subset.frame["id"]]
