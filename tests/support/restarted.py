"""Applies and trains a network in several processes of torchrun, which starts all again when one is killed."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from fieldmark.engine.task import Subset, Task

STEPS, KILLED_AT = 40, 23  # a state is saved every ten steps
BATCH = 5  # of inference: 18 pictures are batches of 5, 5, 5 and 3


def main(folder: Path, processes: int, kill: bool, shard: bool) -> None:
    """Write what each process has: all rows of inference, batches computed, states saved, and the final weights.

    With `shard` each process has its part of the weights while it trains.
    """
    from fieldmark.datasets.data.batches.transforms import ImageParams
    from fieldmark.engine.checkpoint import CheckpointFolder, StateKey
    from fieldmark.engine.params import TrainRecipe
    from fieldmark.engine.training import train_on
    from fieldmark.methods.irt.model.method import Irt
    from fieldmark.methods.irt.model.params import IrtParams, MemoryParams
    from fieldmark.runtime import inference
    from fieldmark.runtime.distributed import process_rank
    from fieldmark.runtime.params import RuntimeParams
    from fieldmark.runtime.processes import start_processes
    from fieldmark.vision.backbones import save_backbone
    from support.tiny import SIDE, make_task, tiny_resnet

    runtime = RuntimeParams(device="cpu", devices=processes, workers=0, checkpoint_seconds=0, shard=shard)
    start_processes(runtime)
    rank, again = process_rank(), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    task = make_task(folder / f"task-{rank}-{again}")
    save_backbone(tiny_resnet(), task.backbone)
    task = replace(task, runtime=runtime, states=StateKey(folder / "states"))
    params = IrtParams(
        images=ImageParams(side=SIDE, jitter=0.2),
        pooling="average",
        train=TrainRecipe(steps=STEPS, batch_size=6, images_per_class=2, lr=1e-3, ema=0.9),
        memory=MemoryParams(momentum=0.9),
    )
    torch.manual_seed(0)
    method = Irt.build(Irt.named(params, "R"), task)

    inference.INFERENCE_BATCH = BATCH
    asked: list[int] = []

    def embed(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return method.embed(images)

    rows = {
        count: task.run(method, embed, first_test(task, count), params.images, "rows") for count in (18, 3)
    }
    saves: list[int] = []
    save = CheckpointFolder.save

    def counted(self: CheckpointFolder, state: dict[str, object]) -> None:
        saves.append(int(str(state["step"])))
        save(self, state)

    CheckpointFolder.save = counted  # type: ignore[method-assign]

    def keep(done: int) -> None:
        if kill and again == "0" and done == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    curve = train_on(method, params.images, params.seeded, task, "irt/R", keep)
    result = {"rows": rows, "asked": asked, "saves": saves, "state": method.state_dict(), "curve": curve}
    torch.save({**result, "again": again}, folder / f"{rank}.pt")


def first_test(task: "Task", count: int) -> "Subset":
    """Return the first `count` test pictures."""
    from fieldmark.engine.task import Subset

    return Subset(task.subset("test").frame.iloc[:count])


if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests), str(tests.parent / "src")]
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "kill", "shard" in sys.argv[4:])
