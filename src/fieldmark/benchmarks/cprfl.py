"""CPRFL's training step compared with its backbone; its loss and average precision compared with naive versions."""

from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.optim import AdamW

from fieldmark.benchmarks.features import frozen_step
from fieldmark.benchmarks.fixtures import make_task, wired_backbone
from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.configuration.configuration import Configuration
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.evaluation.multilabel import multilabel_map
from fieldmark.methods.cprfl.model.losses import asymmetric_loss
from fieldmark.methods.cprfl.model.method import Cprfl
from fieldmark.methods.cprfl.model.params import CprflParams
from fieldmark.methods.cprfl.model.variants import CprflVariant
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import Backbone, create_backbone, freeze_batchnorm

ROUNDS = 12
CLASSES = 80  # as COCO has
WIDTH = 512  # of category vectors
PICTURES = 2000
ENTRIES = (4096, CLASSES)  # logits of the loss


def run(configuration: Configuration, folder: Path) -> str:
    """Return the tables for the CPRFL of `params.yaml`."""
    block = configuration.method_block("cprfl", CprflParams).model_copy(update={"variants": ("CPRFL",)})
    backbone = create_backbone(wired_backbone(configuration, "cprfl"), block.images.side)
    runtime = configuration.block("runtime", RuntimeParams)
    task = make_task(folder, block.images.side, backbone, runtime.workers)
    frozen = frozen_step(block, runtime, folder / "frozen")
    return "\n\n".join([_step(Cprfl.named(block, "CPRFL"), task), frozen, _loss(), _average_precision()])


def _step(variant: CprflVariant, task: Task) -> str:
    """Time an optimiser step of CPRFL in the engine, and one of its backbone alone, on the same pictures."""
    images, train = variant.params.images, variant.params.seeded
    generator = torch.Generator().manual_seed(0)
    size = train.batch_size // train.accumulate
    pictures = torch.rand((size, 3, images.side, images.side), generator=generator)
    targets = (torch.rand((size, CLASSES), generator=generator) < 0.05).float()
    vectors = torch.randn((CLASSES, WIDTH), generator=generator)
    names = [str(category) for category in range(CLASSES)]
    stepper = Stepper(Cprfl(variant, task.load_backbone(), names, vectors, targets), train, task.runtime)
    device = stepper.fabric.device
    batch = {"images": pictures.to(device), "indices": torch.arange(size, device=device)}
    bare = task.load_backbone().to(device).train()
    if train.freeze_batchnorm:
        freeze_batchnorm(bare)
    optimizer = AdamW(bare.parameters(), lr=train.lr)
    half = train.precision == "bf16"
    actions = {
        "backbone: forward, backward, AdamW": lambda: _bare_step(bare, optimizer, batch["images"], half),
        "CPRFL step": lambda: stepper.step(iter([batch] * train.accumulate)),
    }
    return table("Training step", in_turn(actions, ROUNDS), train.batch_size, "img")


def _bare_step(backbone: Backbone, optimizer: AdamW, images: Tensor, half: bool) -> None:
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        loss = backbone(images).feature_map.square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _loss() -> str:
    """Time the asymmetric loss with its gradient, and the same computed just as its formula is written."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(ENTRIES, generator=generator).requires_grad_()
    targets = (torch.rand(ENTRIES, generator=generator) < 0.05).float()
    actions = {
        "as the formula is written": lambda: _written(logits, targets).backward(),
        "asymmetric_loss": lambda: asymmetric_loss(logits, targets).backward(),
    }
    return table("Asymmetric loss, forward and backward", in_turn(actions, ROUNDS), ENTRIES[0], "img")


def _written(logits: Tensor, targets: Tensor) -> Tensor:
    present = logits.sigmoid()
    absent = (1 - present + 0.05).clamp(max=1)
    log = targets * present.clamp(min=1e-8).log() + (1 - targets) * absent.clamp(min=1e-8).log()
    with torch.no_grad():
        chosen = present * targets + absent * (1 - targets)
        weight = (1 - chosen) ** (0.0 * targets + 4.0 * (1 - targets))
    return -(log * weight).mean()


def _average_precision() -> str:
    """Time the average precision of all classes at once, and class by class with scikit-learn."""
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(PICTURES, CLASSES)), rng.random((PICTURES, CLASSES)) < 0.05

    def class_by_class() -> list[float]:
        return [average_precision_score(targets[:, c], scores[:, c]) for c in range(CLASSES)]

    if abs(multilabel_map(scores, targets)["map"] - np.mean(class_by_class())) > 1e-6:
        raise AssertionError("average precision differs from that of scikit-learn")
    actions = {
        "scikit-learn, class by class": class_by_class,
        "multilabel_map": lambda: multilabel_map(scores, targets),
    }
    return table(f"Average precision, {CLASSES} classes", in_turn(actions, ROUNDS), PICTURES, "img")
