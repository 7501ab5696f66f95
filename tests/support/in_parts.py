"""Trains everything in so many processes, each with its part of every batch; a program that starts the others."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

SGD = {  # Adam makes a whole step of a gradient that is only rounding; in half precision rounding is not small
    "steps": 3,
    "warmup_steps": 0,
    "optimizer": "sgd",
    "lr": 0.05,
    "precision": "fp32",
    "freeze_batchnorm": False,  # the statistics are those of the batches of all processes
}
# What is drawn for a part of a batch as a whole, and not picture by picture.
PART = 8  # rows of features that a file holds
WHOLE = {"dropout": 0.0, "captions": "all"}


def changes(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a block train alike however its batches are cut."""
    return {"train": SGD, **{name: value for name, value in WHOLE.items() if name in block}}


def train_all(folder: Path, processes: int, shard: bool = False) -> None:
    """Train everything; the first process writes each final state, and the curve's last point, to `folder`.

    With `shard` each process has its part of the weights.
    """
    from fieldmark.engine import features
    from fieldmark.runtime.distributed import first_process
    from fieldmark.runtime.params import RuntimeParams
    from support.everything import IN_VIEWS, TRAINED, VIEWED, Everything, block_of

    features.INFERENCE_BATCH = PART  # so that a store has a part for each process
    runtime = RuntimeParams(device="cpu", devices=processes, workers=0, checkpoint_seconds=1000, shard=shard)
    scratch = folder / ("first" if first_process() else "second")
    everything = Everything(scratch / "data")
    for name in [*TRAINED, *VIEWED]:
        made = everything.make(name, changes(block_of(name.removesuffix(IN_VIEWS))))
        model, curve = made.fit(replace(made.within(folder / "states" / name), runtime=runtime))
        if first_process():
            path = folder / f"{name}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"state": model.state_dict(), "point": curve[-1]}, path)


if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests), str(tests.parent / "src")]
    train_all(Path(sys.argv[1]), int(sys.argv[2]), shard="shard" in sys.argv[3:])
