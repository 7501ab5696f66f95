"""Where CLIPs come from: trained on pictures and their captions, or taken with their weights; always scored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.base.errors import UserError
from fieldmark.base.progress import progress
from fieldmark.clip.contrastive import ContrastiveClip
from fieldmark.clip.schema import ClipParams
from fieldmark.contract.method import Subset, Task
from fieldmark.contract.variants import train_on
from fieldmark.datasets.data.loading import sequential_slices
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.watch import Point
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import interval
from fieldmark.evaluation.crossmodal import cross_recall
from fieldmark.inference.batches import INFERENCE_BATCH, run_over
from fieldmark.scoring.zero_shot import classes_of, has_several_labels, zero_shot
from fieldmark.towers.clip import Clip, create_clip
from fieldmark.towers.templates import fill, prompt

KS = (1, 5)
TOLD = 50  # training captions that stand for a class


@dataclass(frozen=True)
class ClipScores:
    """Measures on the split's test pictures, and the class names (C), by group, with their text embeddings (C, m)."""

    metrics: dict[str, Any]
    names: list[str]
    embeddings: Tensor


def make_clip(
    params: ClipParams, task: Task, checkpoints: CheckpointFolder, name: str
) -> tuple[Clip, ClipScores, list[Point]]:
    """Return the CLIP, its scores and its training curve (empty with pretrained weights).

    Raises UserError for a network that open_clip refuses and for a training picture that nothing is said of.
    """
    torch.manual_seed(params.train.seed if params.train else 0)
    images = params.images
    clip = create_clip(
        params.arch,
        params.config,
        params.pretrained,
        size=images.size,
        squash=images.shape == "square",
        mean=params.mean,
        std=params.std,
    )
    curve = []
    if params.train:
        told = sentences_of(task.manifest, task.subset("train"), params.sentences)
        if not all(told):
            raise UserError(
                f"{told.count([])} training pictures of data set '{params.dataset}' have no caption to train a CLIP on"
            )
        model = ContrastiveClip(clip, told, params.train.seed)
        curve = train_on(model, images, params.train, task, checkpoints, name)
    clip.eval().requires_grad_(False)
    return clip, score_clip(clip, params, task), curve


def sentences_of(manifest: pd.DataFrame, subset: Subset, templates: Sequence[str] = ()) -> list[list[str]]:
    """Return, for each picture of `subset`, its captions and every template that its annotations fill."""
    rows = _rows(manifest, subset)
    told = []
    for captions, attributes in zip(rows["captions"], rows["attributes"], strict=True):
        values = _texts(json.loads(attributes)) if templates else {}
        filled = [fill(template, values) for template in templates]
        told.append([*(captions or []), *(one for one in filled if one is not None)])
    return told


def describe_clip(clip: Clip, params: ClipParams, scores: ClipScores) -> dict[str, Any]:
    """Return what reports/clips/<name>.json says of a CLIP."""
    own = "a configuration of its own"
    weights = Path(params.pretrained).name if params.pretrained else f"trained here on split '{params.split}'"
    return {
        "arch": f"open_clip: {params.arch or own}",
        "weights": weights,
        "parameters": sum(p.numel() for p in clip.network.parameters()),
        "split": params.split,
        "metrics": scores.metrics,
    }


@torch.inference_mode()
def score_clip(clip: Clip, params: ClipParams, task: Task) -> ClipScores:
    """Score zero-shot classification and retrieval on the split's test pictures.

    Retrieval counts a picture's own captions and, where pictures have one class each, those of any picture
    of the class: a caption often holds for all of them. Classes are those of the whole data set.
    """
    test = task.subset("test", "query", "gallery")
    rows, names = _rows(task.manifest, test), classes_of(task.manifest)
    pictures = run_over(clip, clip.encode_images, task, test, params.images, "pictures")
    texts = [prompt(template, name) for template in params.templates for name in names]
    named = encode_all(clip, texts).view(len(params.templates), len(names), -1).mean(0)
    metrics = zero_shot(pictures, named, names, rows)
    several = has_several_labels(task.manifest)
    told = None if several else _told_classes(clip, task.manifest, task.subset("train"), names)
    if told is not None:
        by_captions = zero_shot(pictures, told, names, rows)["zero-shot top1"]
        metrics["zero-shot top1, classes by their training captions"] = by_captions
    captions = sentences_of(task.manifest, test)
    if all(captions):
        classes = np.arange(len(rows)) if several else rows["class_name"].to_numpy()
        metrics.update(_retrieval(clip, pictures, captions, classes))
    order = _by_group(task.manifest, names)
    return ClipScores(metrics, [names[index] for index in order], named[order])


@torch.inference_mode()
def encode_all(clip: Clip, texts: Sequence[str]) -> Tensor:
    """Return the text features (n, m) of many sentences, float32 on the CPU."""
    slices = sequential_slices(len(texts), INFERENCE_BATCH)
    parts = [
        clip.encode_texts([texts[index] for index in part.indices]).float().cpu()
        for part in progress(slices, desc="texts", unit="batch")
    ]
    return torch.cat(parts)


def _rows(manifest: pd.DataFrame, subset: Subset) -> pd.DataFrame:
    """Return the manifest rows of the pictures of `subset`, in its order."""
    return manifest.set_index("id", drop=False).loc[subset.frame["id"]]


def _by_group(manifest: pd.DataFrame, names: Sequence[str]) -> list[int]:
    """Return the order of class names that puts each group together."""
    groups = dict(zip(manifest["class_name"], manifest["group"].fillna(""), strict=True))
    return sorted(range(len(names)), key=lambda index: (groups.get(names[index], ""), names[index]))


def _told_classes(clip: Clip, manifest: pd.DataFrame, train: Subset, names: Sequence[str]) -> Tensor | None:
    """Return (C, m), the mean of what the training captions of each class say; None where one has none."""
    of_class: dict[str, list[str]] = {name: [] for name in names}
    for name, captions in zip(train.frame["class_name"], sentences_of(manifest, train), strict=True):
        of_class.setdefault(name, []).extend(captions)
    kept = [of_class[name][:TOLD] for name in names]
    if not all(kept):
        return None
    vectors = normalize(encode_all(clip, [text for own in kept for text in own]), dim=1)
    return torch.stack([part.mean(0) for part in vectors.split([len(own) for own in kept])])


def _retrieval(
    clip: Clip, pictures: Tensor, captions: Sequence[Sequence[str]], classes: Array
) -> dict[str, dict[str, float]]:
    """Return recall@k in both directions, for own pairs and for pairs of one class, with intervals over classes."""
    texts = encode_all(clip, [text for own in captions for text in own])
    own = np.arange(len(captions))
    owners = own.repeat([len(told) for told in captions])
    kinds = {"": (own, owners)}
    if len(set(classes)) < len(classes):
        kinds[", any of the class"] = (classes, classes[owners])
    found = {}
    for kind, (of_picture, of_text) in kinds.items():
        to_text = cross_recall(pictures, of_picture, texts, of_text, KS)
        to_image = cross_recall(texts, of_text, pictures, of_picture, KS)
        found.update({f"image to text recall@{k}{kind}": (to_text[k], classes) for k in KS})
        found.update({f"text to image recall@{k}{kind}": (to_image[k], classes[owners]) for k in KS})
    return {name: interval(hits, clusters).as_dict() for name, (hits, clusters) in found.items()}


def _texts(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in attributes.items()}
