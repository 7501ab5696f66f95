"""A training step of PMA beside the bare backbone's, and beside one of vision alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from torch.optim import AdamW

from fieldmark.base.blocks import parse
from fieldmark.benchmarks.fixtures import make_task
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, TrainingSlices, loader
from fieldmark.datasets.data.batches.transforms import training_transform
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.engine.training import make_sampler
from fieldmark.methods.pma.model.method import Pma
from fieldmark.methods.pma.model.params import PmaParams, Variant
from fieldmark.preflight.check import read_runtime, wired_backbone
from fieldmark.texts.phrases import Phrases, build_vocabulary, write_phrases
from fieldmark.vision.backbones import Backbone, create_backbone, freeze_batchnorm

ROUNDS = 6
PHRASES, WORDS = 17, 150  # as many as a picture and a vocabulary of the default world have


def run(params: dict[str, Any], folder: Path) -> str:
    """Return the table for the PMA of `params` (the content of params.yaml)."""
    own = parse(PmaParams, params["pma"], "pma")
    backbone = create_backbone(wired_backbone(params, "pma"), own.images.side)
    task = make_task(folder, own.images.side, backbone, read_runtime(params).workers)
    task = replace(task, text=_write_phrases(task, folder / "text"))
    batch = _batch(own, task)
    stepper = _stepper(own, task, "PMA")
    device = stepper.fabric.device
    batch = {name: value.to(device) for name, value in batch.items()}
    vision = _stepper(own, task, "vision")
    bare = task.load_backbone().to(device).train()
    if own.train.freeze_batchnorm:
        freeze_batchnorm(bare)
    optimizer = AdamW(bare.parameters(), lr=own.train.lr)
    batches = [batch] * own.train.accumulate
    actions = {
        "backbone: forward, backward, AdamW": lambda: _bare_step(stepper, bare, optimizer, batch["images"]),
        "vision PMA step": lambda: vision.step(iter(batches)),
        "bi-modal PMA step": lambda: stepper.step(iter(batches)),
    }
    return table("Training step", in_turn(actions, ROUNDS), own.train.batch_size, "img")


def _stepper(own: PmaParams, task: Task, variant: Variant) -> Stepper:
    alone = own.model_copy(update={"variants": (variant,)})
    return Stepper(Pma.build(alone, task), own.train, task.runtime)


def _bare_step(stepper: Stepper, backbone: Backbone, optimizer: AdamW, images: Tensor) -> None:
    """In the precision of the other steps."""
    with stepper.fabric.autocast():
        loss = backbone(images).feature_map.float().square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _batch(own: PmaParams, task: Task) -> Batch:
    subset = task.subset("train")
    dataset = PictureDataset(task.store, subset.rows, subset.labels, training_transform(own.images))
    return next(loader(dataset, TrainingSlices(make_sampler(subset, own.train), 0, 1), 0))


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
