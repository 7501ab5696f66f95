"""Training on the pictures of a task: the right batches, and a state from which a killed run continues."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.drawing import DeferredTransform
from fieldmark.datasets.data.batches.features import FeatureDataset
from fieldmark.datasets.data.batches.loading import IndexDataset, PictureDataset, say_once
from fieldmark.datasets.data.batches.samplers import (
    ClassAwareSampler,
    ClassBalancedSampler,
    Indices,
    Sampler,
    ShuffledSampler,
)
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform
from fieldmark.datasets.data.batches.views import ViewDataset
from fieldmark.datasets.data.roles.multilabel import classes_of, has_several_labels, multi_hot
from fieldmark.engine.features import kept_features
from fieldmark.engine.loop import train
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Subset, Task
from fieldmark.engine.trainable import Trainable
from fieldmark.runtime.distributed import first_process

if TYPE_CHECKING:
    from torchvision.transforms import v2


def train_on(
    model: Trainable,
    images: ImageParams,
    params: TrainParams,
    task: Task,
    run: str,
    keep: Callable[[int], None] = lambda done: None,
    views: int | None = None,
) -> list[Point]:
    """Train on the pictures of the task's training role; return the training curve.

    With `views` each picture is seen in so many fixed views instead of a fresh one each step, and a batch carries
    features that are computed once where the model has a `feature_source`. A model that has none and sees no pictures
    gets batches without.
    """
    subset, source = task.subset("train"), model.feature_source()
    sampler = model.own_sampler(task) or make_sampler(subset, params, task.manifest)
    blind = source is None and not model.sees_pictures
    transform = training_transform(images) if blind else pick_transform(images, task, run)
    pictures = (task.store, subset.rows, subset.labels, transform, params.seed)
    dataset = PictureDataset(*pictures)
    if blind:
        dataset = IndexDataset(*pictures)
    elif views:
        dataset = ViewDataset(*pictures, views)
        if source:
            features = kept_features(source, dataset, images, params, task, run)
            dataset = FeatureDataset(dataset, features, model.sees_pictures)
    return train(model, dataset, sampler, params, task.runtime, task.checkpoints(run), run, keep)


def pick_transform(images: ImageParams, task: Task, run: str) -> "v2.Compose | DeferredTransform":
    """Return what loader processes do with a picture in training; `augmented` does the rest.

    Where `runtime.augment` asks for the device, and it cannot be done there, a line says so.
    """
    if task.runtime.augment == "workers":
        return training_transform(images)
    if images.augment:
        reason = f"images.augment {images.augment} asks for random operations, which no batch goes through"
    elif task.store.square is None:
        reason = f"of {task.store.folder} it sees other pictures than squares of one side (shape: square)"
    else:
        return DeferredTransform(images)
    if first_process():
        say_once(f"{run}: runtime.augment is device, but the loader's workers augment: {reason}")
    return training_transform(images)


def make_sampler(subset: Subset, params: TrainParams, manifest: pd.DataFrame) -> Sampler:
    """Return the sampler that the training parameters ask for. Raises UserError when the pictures do not allow it."""
    try:
        if params.sampling == "class_aware":
            return ClassAwareSampler(_members(subset, manifest), params.batch_size, params.seed)
        if params.images_per_class is None:
            return ShuffledSampler(len(subset), params.batch_size, params.seed)
        return ClassBalancedSampler(subset.labels, params.batch_size, params.images_per_class, params.seed)
    except ValueError as error:
        raise UserError(f"train: {error}") from None


def _members(subset: Subset, manifest: pd.DataFrame) -> list[Indices]:
    """Return the indices of the pictures of each class, which a picture may have several of."""
    if has_several_labels(manifest):
        return [
            np.flatnonzero(present) for present in multi_hot(manifest, subset.frame, classes_of(manifest)).T
        ]
    return [np.flatnonzero(subset.labels == label) for label in np.unique(subset.labels)]


def clear_states(run: str, root: Path) -> None:
    """Delete the mid-training states of a run, or of all the runs of a method, whose outputs are complete."""
    shutil.rmtree(root / run, ignore_errors=True)
