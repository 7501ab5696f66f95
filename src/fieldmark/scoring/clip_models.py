"""The scores of a CLIP by itself: zero-shot classification, and retrieval between pictures and captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.base.progress import progress
from fieldmark.clip.schema import ClipParams
from fieldmark.clip.training import rows_of, sentences_of
from fieldmark.datasets.data.batches.loading import sequential_slices
from fieldmark.datasets.data.roles.multilabel import classes_of, has_several_labels
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.bootstrap import Interval, interval
from fieldmark.evaluation.crossmodal import cosines, cross_recall
from fieldmark.figures.similarity import similarity_figure
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import NetworkResult
from fieldmark.runtime.inference import INFERENCE_BATCH
from fieldmark.scoring.zero_shot import zero_shot
from fieldmark.towers.clip import Clip
from fieldmark.towers.templates import prompt

KS = (1, 5)
HEADLINE = ("zero-shot top1", "zero-shot map", "image to text recall@1", "text to image recall@1")
MAX_CAPTIONS = 50  # how many training captions stand for a class at most


@dataclass(frozen=True)
class ClipScores:
    """Measures on the test pictures of the split; the C class names, ordered by group, and their embeddings (C, m)."""

    measures: dict[str, Interval | float]
    names: list[str]
    embeddings: Tensor


def describe_clip(
    name: str, clip: Clip, params: ClipParams, task: Task, figures: FigureFolder
) -> NetworkResult:
    """Score a CLIP, draw how similar its class texts are, and say where it comes from."""
    scores = score_clip(clip, params, task)
    similarity_figure(cosines(scores.embeddings, scores.embeddings), scores.names, figures)
    weights = Path(params.pretrained).name if params.pretrained else f"trained here on split '{params.split}'"
    return NetworkResult(
        name=name,
        arch=f"open_clip: {params.arch or 'a configuration of its own'}",
        weights=weights,
        parameters=sum(p.numel() for p in clip.network.parameters()),
        split=params.split,
        measures=scores.measures,
        metrics=HEADLINE,
    )


@torch.inference_mode()
def score_clip(clip: Clip, params: ClipParams, task: Task) -> ClipScores:
    """Score zero-shot classification and retrieval on the split's test pictures.

    Retrieval counts the captions of a picture itself and, where pictures have one class each, those of any picture of
    its class, since a caption often holds for all of them. Classes are those of the whole data set.
    """
    test = task.subset("test", "query", "gallery")
    rows, names = rows_of(task.manifest, test), classes_of(task.manifest)
    pictures = task.run(clip, clip.encode_images, test, params.images, "pictures")
    texts = [prompt(template, name) for template in params.templates for name in names]
    named = encode_all(clip, texts).view(len(params.templates), len(names), -1).mean(0)
    measures = zero_shot(pictures, named, names, rows)
    several = has_several_labels(task.manifest)
    told = None if several else _told_classes(clip, task.manifest, task.subset("train"), names)
    if told is not None:
        by_captions = zero_shot(pictures, told, names, rows)["zero-shot top1"]
        measures["zero-shot top1, classes by their training captions"] = by_captions
    captions = sentences_of(task.manifest, test)
    if all(captions):
        classes = np.arange(len(rows)) if several else rows["class_name"].to_numpy()
        measures.update(_retrieval(clip, pictures, captions, classes))
    order = _by_group(task.manifest, names)
    return ClipScores(measures, [names[index] for index in order], named[order])


@torch.inference_mode()
def encode_all(clip: Clip, texts: Sequence[str]) -> Tensor:
    """Return the text features (n, m) of many sentences, float32 on the CPU."""
    slices = sequential_slices(len(texts), INFERENCE_BATCH)
    parts = [
        clip.encode_texts([texts[index] for index in part.indices]).float().cpu()
        for part in progress(slices, desc="texts", unit="batch")
    ]
    return torch.cat(parts)


def _by_group(manifest: pd.DataFrame, names: Sequence[str]) -> list[int]:
    """Return the order of class names that puts each group together."""
    groups = dict(zip(manifest["class_name"], manifest["group"].fillna(""), strict=True))
    return sorted(range(len(names)), key=lambda index: (groups.get(names[index], ""), names[index]))


def _told_classes(clip: Clip, manifest: pd.DataFrame, train: Subset, names: Sequence[str]) -> Tensor | None:
    """Return (C, m), the mean embedding of the training captions of each class; None where a class has none."""
    by_class: dict[str, list[str]] = {name: [] for name in names}
    for name, captions in zip(train.frame["class_name"], sentences_of(manifest, train), strict=True):
        by_class.setdefault(name, []).extend(captions)
    kept = [by_class[name][:MAX_CAPTIONS] for name in names]
    if not all(kept):
        return None
    vectors = normalize(encode_all(clip, [text for of_class in kept for text in of_class]), dim=1)
    return torch.stack([part.mean(0) for part in vectors.split([len(of_class) for of_class in kept])])


def _retrieval(
    clip: Clip, pictures: Tensor, captions: Sequence[Sequence[str]], classes: Array
) -> dict[str, Interval]:
    """Return recall@k in both directions, with intervals over classes.

    It is measured for the pairs of a picture and its captions and, where pictures share a class, for all pairs of one
    class.
    """
    texts = encode_all(clip, [text for of_picture in captions for text in of_picture])
    indices = np.arange(len(captions))
    owners = indices.repeat([len(of_picture) for of_picture in captions])
    kinds = {"": (indices, owners)}
    if len(set(classes)) < len(classes):
        kinds[", any of the class"] = (classes, classes[owners])
    hits_by_name = {}
    for kind, (of_picture, of_text) in kinds.items():
        to_text = cross_recall(pictures, of_picture, texts, of_text, KS)
        to_image = cross_recall(texts, of_text, pictures, of_picture, KS)
        hits_by_name.update({f"image to text recall@{k}{kind}": (to_text[k], classes) for k in KS})
        hits_by_name.update({f"text to image recall@{k}{kind}": (to_image[k], classes[owners]) for k in KS})
    return {name: interval(hits, clusters) for name, (hits, clusters) in hits_by_name.items()}
