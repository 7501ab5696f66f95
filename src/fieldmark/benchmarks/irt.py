"""IRT's training step compared with its backbone alone, and the loader compared with reading JPEG files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor
from torch.optim import AdamW

from fieldmark.benchmarks.fixtures import CLASSES, PER_CLASS, make_task, wired_backbone
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, TrainingSlices, loader
from fieldmark.datasets.data.batches.transforms import to_tensor, training_transform
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.engine.training import make_sampler
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.runtime.params import RuntimeParams
from fieldmark.runtime.workers import loader_workers
from fieldmark.vision.backbones import Backbone, create_backbone, freeze_batchnorm

ROUNDS = 12
LOADED = 36  # batches that the loader makes: enough for all rounds and the warm-up


def run(configuration: Configuration, folder: Path) -> str:
    """Return the tables for the IRT of `params.yaml`."""
    params = configuration.method_block("irt", IrtParams)
    backbone = create_backbone(wired_backbone(configuration, "irt"), params.images.side)
    workers = configuration.block("runtime", RuntimeParams).workers
    task = make_task(folder, params.images.side, backbone, workers)
    return "\n\n".join([_step(params, task), _loading(params, task, folder)])


def _step(params: IrtParams, task: Task) -> str:
    """Time an optimiser step of IRT_R in the engine, and one of its backbone alone, on the same batch."""
    stepper = Stepper(Irt.build(Irt.named(params, "R"), task), params.seeded, task.runtime)
    batch = next(_batches(params, task, 0, 1))
    batch = {name: value.to(stepper.fabric.device) for name, value in batch.items()}
    bare = task.load_backbone().to(stepper.fabric.device).train()
    if params.train.freeze_batchnorm:
        freeze_batchnorm(bare)
    optimizer = AdamW(bare.parameters(), lr=params.train.lr)
    actions = {
        "backbone: forward, backward, AdamW": lambda: _bare_step(bare, optimizer, batch["images"]),
        "IRT_R step": lambda: stepper.step(iter([batch] * params.train.accumulate)),
    }
    return table("Training step", in_turn(actions, ROUNDS), params.train.batch_size, "img")


def _bare_step(backbone: Backbone, optimizer: AdamW, images: Tensor) -> None:
    features = backbone(images)
    (features.cls if features.cls is not None else features.feature_map).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _loading(params: IrtParams, task: Task, folder: Path) -> str:
    """Time batches of the loader from the store, and the simple alternative: reading JPEG files one by one."""
    transform = training_transform(params.images)

    def from_files() -> None:
        for number in range(params.train.batch_size):
            with Image.open(folder / "files" / f"{number % (CLASSES * PER_CLASS)}.jpg") as picture:
                transform(to_tensor(np.asarray(picture.convert("RGB"))))

    def inline() -> None:
        next(_batches(params, task, 0, 1))

    seconds = in_turn(
        {"JPEG files, in the same process": from_files, "store, in the same process": inline}, ROUNDS
    )
    workers = loader_workers(task.runtime)
    batches = _batches(params, task, workers, LOADED)
    seconds["store, prefetched by the loader"] = _steady(batches)
    return table(f"Loader, {workers} worker(s)", seconds, params.train.batch_size, "img")


def _steady(batches: Iterator[Batch]) -> list[float]:
    actions = {"batch": lambda: next(batches)}
    return in_turn(actions, ROUNDS)["batch"]


def _batches(params: IrtParams, task: Task, workers: int, count: int) -> Iterator[Batch]:
    subset = task.subset("train")
    dataset = PictureDataset(task.store, subset.rows, subset.labels, training_transform(params.images))
    return loader(
        dataset, TrainingSlices(make_sampler(subset, params.seeded, task.manifest), 0, count), workers
    )
