"""How fast pictures are loaded, from JPEG and raw, and how long a consumer of a given speed waits for them.

Raw squares are also loaded for augmentation on the device: by a worker that hands them over, and the rest by itself.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from fieldmark.benchmarks.timing import in_turn
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.batches.augmenting import augmented
from fieldmark.datasets.data.batches.drawing import DeferredTransform
from fieldmark.datasets.data.batches.loading import Batch, PictureDataset, TrainingSlices, loader
from fieldmark.datasets.data.batches.samplers import ShuffledSampler
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform
from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter
from fieldmark.runtime.params import RuntimeParams
from fieldmark.runtime.workers import loader_workers

ENCODINGS: tuple[Literal["jpeg", "raw"], ...] = ("jpeg", "raw")
SIDES = (224, 448)  # of what a network sees; kept are pictures of 8/7 of it, as of 256 for 224
PICTURES, BATCH = 96, 32
WARM_UP, MEASURED = 4, 16  # batches
AUGMENTED = {  # from squares of 256 px
    "crop, flip": ImageParams(side=224, resize=256, crop="random"),
    "and jitter, erasing": ImageParams(side=224, resize=256, crop="random", jitter=0.25, erase=0.5),
}
RATES = (100, 500, 2000)  # pictures a second that a consumer takes: a CPU, a small GPU, a large one


def run(configuration: Configuration, folder: Path) -> str:
    """Return the tables for this machine: the rate of one worker, and what consumers wait for all of them."""
    workers = loader_workers(configuration.block("runtime", RuntimeParams))
    sets = {
        (side, encoding): _pictures(folder / f"{encoding}{side}", side, encoding)
        for side in SIDES
        for encoding in ENCODINGS
    }
    lines = ["Loading by one worker", f"  {'':24s} {'img/s':>8s}"]
    lines += [f"  {_name(*key):24s} {loaded_per_second(dataset):8.0f}" for key, dataset in sets.items()]
    heads = "".join(f" {rate:6d}/s" for rate in RATES)
    lines += ["", *_augmented(sets[224, "raw"])]
    lines += ["", f"Waited for {workers} worker(s), by a consumer of so many pictures", f"  {'':24s}{heads}"]
    for key, dataset in sets.items():
        shares = [waited(dataset, workers, rate) for rate in RATES]
        lines.append(f"  {_name(*key):24s}" + "".join(f" {share:8.0%}" for share in shares))
    return "\n".join(lines)


def _augmented(raw: PictureDataset) -> list[str]:
    """Return the rates of one worker that augments and of one that hands over, and of the rest in this process."""
    lines = [
        "224 px from raw squares, img/s",
        f"  {'':24s} {'worker':>8s} {'handed':>8s} {'the rest, on this CPU':>22s}",
    ]
    for name, images in AUGMENTED.items():
        whole = replace(raw, transform=training_transform(images))
        halved = replace(raw, transform=DeferredTransform(images))
        part = next(iter(TrainingSlices(ShuffledSampler(len(raw), BATCH, 0), 0, 1)))
        expected, drawn = whole[part]["images"], halved[part]
        difference = (augmented(drawn)["images"].int() - expected.int()).abs().max()
        assert difference <= 1, f"{name}: {difference} grey levels"
        seconds = in_turn({"rest": partial(augmented, drawn)}, MEASURED)["rest"]
        rates = loaded_per_second(whole), loaded_per_second(halved), BATCH / statistics.median(seconds)
        lines.append(f"  {name:24s} {rates[0]:8.0f} {rates[1]:8.0f} {rates[2]:22.0f}")
    return lines


def loaded_per_second(dataset: PictureDataset) -> float:
    """Return how many pictures one worker loads in a second, once its queue is no longer ahead."""
    batches = _batches(dataset, 1)
    for _ in range(WARM_UP):
        next(batches)
    start = time.perf_counter()
    for _ in range(MEASURED):
        next(batches)
    return MEASURED * BATCH / (time.perf_counter() - start)


def waited(dataset: PictureDataset, workers: int, rate: float) -> float:
    """Return the share of its time that a consumer of `rate` pictures a second waits for batches.

    It sleeps while it would compute, as a processor does that waits for a GPU.
    """
    batches, waiting = _batches(dataset, workers), 0.0
    for _ in range(WARM_UP):
        next(batches)
    start = time.perf_counter()
    for _ in range(MEASURED):
        asked = time.perf_counter()
        next(batches)
        waiting += time.perf_counter() - asked
        time.sleep(BATCH / rate)
    return waiting / (time.perf_counter() - start)


def _batches(dataset: PictureDataset, workers: int) -> Iterator[Batch]:
    sampler = ShuffledSampler(len(dataset), BATCH, 0)
    return loader(dataset, TrainingSlices(sampler, 0, WARM_UP + MEASURED), workers)


def _pictures(folder: Path, side: int, encoding: Literal["jpeg", "raw"]) -> PictureDataset:
    """Write smooth noise of 8/7 of the side and open it with the random crops of training."""
    folder.mkdir()
    generator, kept = np.random.default_rng(0), side * 8 // 7
    with StoreWriter(folder, encoding) as writer:
        for _ in range(PICTURES):
            coarse = Image.fromarray(generator.integers(0, 256, (32, 32, 3), np.uint8))
            writer.add(np.asarray(coarse.resize((kept, kept), Image.Resampling.BICUBIC)))
    transform = training_transform(ImageParams(side=side))
    rows = np.arange(PICTURES)
    return PictureDataset(ImageStore.open(folder), rows, np.zeros_like(rows), transform)


def _name(side: int, encoding: str) -> str:
    return f"{side} px from {encoding}"
