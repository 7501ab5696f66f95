"""Every variant of every method at its smallest: how to build it, to train it, and to use what came of it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fieldmark.contract.method import Classifies, Embeds, Method, Variant
from fieldmark.contract.registry import load_method
from fieldmark.contract.variants import load_model, save_model, train_method
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, Slice
from fieldmark.datasets.data.batches.transforms import ImageParams, evaluation_transform
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Trainable
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.pma.model.method import Pma
from support.wired import BATCH, METHODS, tiny

Changes = Mapping[str, Any]
Fitted = tuple[nn.Module, list[Point]]
Pair = tuple[nn.Module, nn.Module]


@dataclass(frozen=True)
class Training:
    """One thing that is trained, on a task with its pictures."""

    name: str
    task: Task
    params: TrainParams
    batch: Batch  # of training pictures, as the model takes them
    build: Callable[[], Trainable]  # the same weights every time
    fit: Callable[[Task], Fitted]  # built anew and trained, from the state that the task has where it has one
    outputs: Callable[[nn.Module, Batch], list[Tensor]]  # what inference gives
    kept: Callable[[Trainable, Path], Pair] | None = None  # what is saved of it, and the same read again

    def within(self, folder: Path) -> Task:
        """Return the task with its mid-training states in `folder`."""
        return dataclasses.replace(self.task, states=StateKey(folder))


def all_variants() -> list[tuple[str, Variant[Any, Any]]]:
    """Return (method, variant) for all variants of all methods of params.yaml."""
    return [(name, variant) for name in METHODS for variant in load_method(name).variants(tiny(name))]


def method_training(name: str, variant_name: str, wired: Task, changes: Changes | None = None) -> Training:
    """A variant of a method on a task as the method is wired."""
    method_class = load_method(name)
    variant = method_class.named(tiny(name, changes), variant_name)
    task = method_class.training_task(variant, wired)
    params, run = variant.params.seeded, f"{name}/{variant_name}"

    def build() -> Method[Any, Any]:
        torch.manual_seed(params.seed)
        return method_class.build(variant, task)

    def fit(where: Task) -> Fitted:
        method = build()
        return method, train_method(method, where, run)

    def kept(method: Trainable, saved: Path) -> Pair:
        assert isinstance(method, Method)
        method.finish(task)
        save_model(method, saved)
        return method.eval(), load_model(saved)

    first = build()
    batch = batch_of(task, first.loaded)
    batch |= _text_of(first, task, batch["indices"])
    return Training(run, task, params, batch, build, fit, method_outputs, kept)


def method_outputs(method: nn.Module, batch: Batch) -> list[Tensor]:
    """What a method says of pictures: descriptors, logits with text where it reads text, or probabilities."""
    images = batch["images"]
    if isinstance(method, Pma):
        return [method.logits(images, batch.get("tokens"))]
    if isinstance(method, Loca) and method.has_pretext:
        pretext = method.pretext(images, 5)
        return [method.embed(images), pretext.predicted, pretext.correct]
    if isinstance(method, Embeds):
        return [method.embed(images)]
    assert isinstance(method, Classifies)
    said = method.probabilities(images)
    thresholds = method.presence_thresholds()
    return [said] if thresholds is None else [said, thresholds]


def _text_of(method: Method[Any, Any], task: Task, indices: Tensor) -> Batch:
    """Return the word numbers of some training pictures where the method reads them."""
    if not isinstance(method, Pma) or method.encoder is None:
        return {}
    return {"tokens": method.phrases_of(task, task.subset("train")).tokens[indices]}


def batch_of(task: Task, images: ImageParams) -> Batch:
    """Return a few training pictures of a task, evenly spaced, as one batch."""
    subset = task.subset("train")
    dataset = PictureDataset(task.store, subset.rows, subset.labels, evaluation_transform(images))
    return dataset[evenly_spaced(len(subset))]


def evenly_spaced(size: int) -> Slice:
    """Return the part of a batch that holds `BATCH` of so many pictures."""
    return Slice(0, 0, tuple(size * number // BATCH for number in range(BATCH)))
