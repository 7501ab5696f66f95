"""PMA's training step compared with that of its backbone alone, and with that of PMA on vision alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor
from torch.optim import AdamW

from fieldmark.benchmarks.fixtures import make_task, wired_backbone
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, TrainingSlices, loader
from fieldmark.datasets.data.batches.transforms import training_transform
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.engine.training import make_sampler
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams
from fieldmark.methods.pma.model.variants import TrainedName
from fieldmark.runtime.params import RuntimeParams
from fieldmark.texts.phrases import Phrases, build_vocabulary, write_phrases
from fieldmark.vision.backbones import Backbone, create_backbone, freeze_batchnorm

ROUNDS = 6
PHRASES, WORDS = 17, 150  # about as many as a picture and the vocabulary of the default world have


def run(configuration: Configuration, folder: Path) -> str:
    """Return the table for the PMA of `params.yaml`."""
    params = configuration.method_block("pma", PmaParams)
    backbone = create_backbone(wired_backbone(configuration, "pma"), params.images.side)
    workers = configuration.block("runtime", RuntimeParams).workers
    task = make_task(folder, params.images.side, backbone, workers)
    task = replace(task, text=_write_phrases(task, folder / "text"))
    bimodal, vision = (_stepper(params, task, name) for name in ("PMA", "vision"))
    device = bimodal.fabric.device
    batch = {name: value.to(device) for name, value in _batch(params, task).items()}
    bare = task.load_backbone().to(device).train()
    if params.train.freeze_batchnorm:
        freeze_batchnorm(bare)
    optimizer = AdamW(bare.parameters(), lr=params.train.lr)
    batches = [batch] * params.train.accumulate
    actions = {
        "backbone: forward, backward, AdamW": lambda: _bare_step(bimodal, bare, optimizer, batch["images"]),
        "vision PMA step": lambda: vision.step(iter(batches)),
        "bi-modal PMA step": lambda: bimodal.step(iter(batches)),
    }
    return table("Training step", in_turn(actions, ROUNDS), params.train.batch_size, "img")


def _stepper(params: PmaParams, task: Task, name: TrainedName) -> Stepper:
    alone = params.model_copy(update={"variants": (name,)})
    return Stepper(Pma.build(Pma.named(alone, name), task), params.seeded, task.runtime)


def _bare_step(stepper: Stepper, backbone: Backbone, optimizer: AdamW, images: Tensor) -> None:
    """Make a step of the backbone alone, in the precision of the other steps."""
    with stepper.fabric.autocast():
        loss = backbone(images).feature_map.float().square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _batch(params: PmaParams, task: Task) -> Batch:
    subset = task.subset("train")
    dataset = PictureDataset(task.store, subset.rows, subset.labels, training_transform(params.images))
    return next(loader(dataset, TrainingSlices(make_sampler(subset, params.seeded, task.manifest), 0, 1), 0))


def _write_phrases(task: Task, folder: Path) -> Path:
    """Write phrases of two or three random words for every picture."""
    generator = np.random.default_rng(0)
    phrases = [
        [
            " ".join(f"w{n}" for n in generator.integers(0, WORDS, generator.integers(2, 4)))
            for _ in range(PHRASES)
        ]
        for _ in range(len(task.split))
    ]
    said = [[[0]] * PHRASES for _ in phrases]
    rows = task.split["row"]
    frame = pd.DataFrame({"id": rows.astype(str), "row": rows, "phrases": phrases, "captions": said})
    folder.mkdir()
    write_phrases(Phrases(frame, build_vocabulary(phrases, 1)), folder)
    return folder
