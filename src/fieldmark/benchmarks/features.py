"""Steps of CPRFL on a frozen backbone at a real size: from pictures, from the feature store, from memory."""

from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import torch

from fieldmark.benchmarks.fixtures import make_task
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.datasets.data.batches.features import FeatureDataset
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, TrainingSlices, loader
from fieldmark.datasets.data.batches.transforms import training_transform
from fieldmark.datasets.data.batches.views import ViewDataset
from fieldmark.engine.features import kept_features
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.engine.training import make_sampler
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import NetworkParams, create_backbone

ROUNDS = 12
ARCH, SIDE, VIEWS = "resnet50", 224, 2
PICTURES = 64  # as few as give batches: filling the store is not timed
CLASSES, WIDTH = 80, 512  # as COCO has, and of its category vectors
DIM = 512  # in which features and prompts meet
Step = Callable[[], object]


def frozen_step(block: CprflParams, runtime: RuntimeParams, folder: Path) -> str:
    """Time a step with its loading; the limit is a step whose batch lies in memory."""
    images = block.images.model_copy(update={"side": SIDE})
    params = block.model_copy(update={"images": images, "backbone_lr": 0.0, "dim": DIM, "views": VIEWS})
    folder.mkdir()
    task = make_task(folder, SIDE, create_backbone(NetworkParams(arch=ARCH), SIDE), runtime.workers)
    task = task.with_split(task.split.head(PICTURES))
    stepper = _stepper(params, task)
    pictures, carried = _data_sets(params, task)
    from_pictures, from_store = (_batches(data, params, task) for data in (pictures, carried))
    in_memory = repeat(next(_batches(carried, params, task)))
    actions: dict[str, Step] = {
        "a fresh view each step": lambda: stepper.step(from_pictures),
        f"views: {VIEWS}, from the store": lambda: stepper.step(from_store),
        "limit: features in memory": lambda: stepper.step(in_memory),
    }
    title = f"Training step with its loading, {ARCH} frozen, {SIDE} px"
    return table(title, in_turn(actions, ROUNDS), params.train.batch_size, "img")


def _stepper(params: CprflParams, task: Task) -> Stepper:
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand((len(task.split), CLASSES), generator=generator) < 0.05).float()
    vectors = torch.randn((CLASSES, WIDTH), generator=generator)
    names = [str(category) for category in range(CLASSES)]
    method = Cprfl(Cprfl.named(params, "CPRFL"), task.load_backbone(), names, vectors, targets)
    return Stepper(method, params.seeded, task.runtime)


def _data_sets(params: CprflParams, task: Task) -> tuple[PictureDataset, FeatureDataset]:
    subset = task.subset("train")
    parts = (task.store, subset.rows, subset.labels, training_transform(params.images), params.seed)
    views = ViewDataset(*parts, VIEWS)
    source = task.load_backbone()
    features = kept_features(source, views, params.images, params.seeded, task, "benchmark/features")
    return PictureDataset(*parts), FeatureDataset(views, features, images=False)


def _batches(data: PictureDataset, params: CprflParams, task: Task) -> Iterator[Batch]:
    slices = TrainingSlices(make_sampler(task.subset("train"), params.seeded, task.manifest), 0, 10**6)
    return loader(
        data, slices, workers=0
    )  # a worker would load ahead while the other actions take their turn
