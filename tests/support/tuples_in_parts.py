"""Trains IRT on tuples in so many processes, each with its part of every batch; a program that starts the others."""

import sys
from dataclasses import replace
from pathlib import Path

import torch


def train(folder: Path, processes: int, shard: bool) -> None:
    """Train; the first process writes the final state to `folder`. With `shard` each has its part of the weights."""
    from fieldmark.base.blocks import parse
    from fieldmark.contract.variants import train_method
    from fieldmark.methods.irt.model.method import Irt
    from fieldmark.methods.irt.model.params import IrtParams
    from fieldmark.runtime.distributed import first_process
    from fieldmark.runtime.params import RuntimeParams
    from support.landmarks import tuples_task
    from support.tiny import SIDE

    runtime = RuntimeParams(device="cpu", devices=processes, workers=0, checkpoint_seconds=1000, shard=shard)
    block = {
        "images": {"side": SIDE, "crop": "centre", "flip": False},
        "memory": {"fraction": 0.0},
        "tuples": {"negatives": 2, "pairs": 6, "pool": 16},
        "train": {"steps": 5, "batch_size": 8, "optimizer": "sgd", "lr": 2e-3},
        "lambda": 0.1,
        "margin": 0.85,
    }
    task = replace(tuples_task(folder / ("first" if first_process() else "second")), runtime=runtime)
    torch.manual_seed(0)
    method = Irt.build(Irt.named(parse(IrtParams, block, "irt"), "R"), task)
    curve = train_method(method, task, "irt/R/0")
    if first_process():
        torch.save({"state": method.state_dict(), "point": curve[-1]}, folder / "state.pt")


if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests), str(tests.parent / "src")]
    train(Path(sys.argv[1]), int(sys.argv[2]), "shard" in sys.argv[3:])
