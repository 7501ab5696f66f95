"""Trains with a copy of the weights in each process, and with a part of them in each; a program that starts the others.

Everything happens in the same processes, for it takes them long to start.
"""

import copy
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from fieldmark.engine.task import Task
    from fieldmark.engine.trainable import Trainable

STEPS, STOPPED_AT, KEPT_AT = 20, 13, 7  # a state is saved every ten steps
RECIPE = {"steps": STEPS, "lr": 0.05, "optimizer": "sgd", "batch_size": 6, "ema": 0.8}  # see `in_parts.SGD`
NAMES = ("scaled", "resnet", "IRT", "LOCA")


class StoppedError(Exception):
    """What stops a training in the middle."""


def make(name: str, task: "Task") -> "tuple[Trainable, Any, Any]":
    """Build what is trained: a classifier with a scalar weight, one with BatchNorms, and two methods.

    Returns it with how its pictures are made and its recipe. Micro-batches, and gradients that are cut off, are where
    each process has the loss of its own pictures.
    """
    from fieldmark.base.blocks import parse
    from fieldmark.datasets.data.batches.transforms import ImageParams
    from fieldmark.engine.params import TrainParams
    from fieldmark.methods.irt.model.method import Irt
    from fieldmark.methods.irt.model.params import IrtParams
    from fieldmark.methods.loca.model.method import Loca
    from fieldmark.pretraining.backbones import Classifier
    from support.tiny import SIDE, tiny_resnet
    from support.wired import tiny

    torch.manual_seed(0)
    if name == "resnet":
        model: Trainable = Classifier(tiny_resnet(), 3, "average")
        return model, ImageParams(side=SIDE), TrainParams.model_validate(RECIPE)
    if name == "scaled":
        recipe = {**RECIPE, "batch_size": 12, "accumulate": 2, "clip_norm": 0.3, "weight_decay": 0.01}
        return scaled(), ImageParams(side=SIDE), TrainParams.model_validate(recipe)
    if name == "IRT":
        # KoLeo looks at nearest neighbours and the margin at pairs: with longer steps rounding alone parts two runs.
        recipe, memory = {**RECIPE, "lr": 2e-4}, {"momentum": 0.9, "fraction": 1.0}
        block = {"images": {"side": SIDE}, "train": recipe, "memory": memory, "lambda": 0.1}
        irt = Irt.build(Irt.named(parse(IrtParams, block, "irt"), "R"), task)
        return irt, irt.params.images, irt.params.seeded
    loca = Loca.build(Loca.named(tiny("loca", {"train": RECIPE}), "LOCA"), task)
    return loca, loca.params.images, loca.params.seeded


def scaled(called: bool = True) -> "Trainable":
    """Return a classifier with a transformer, whose logits are multiplied by a weight without axes.

    One that is not `called` uses what is in a block of the transformer, and calls no block.
    """
    from fieldmark.pretraining.backbones import Classifier
    from fieldmark.runtime.sharding import blocks
    from support.tiny import VIT, tiny_vit

    class Scaled(Classifier):
        def __init__(self) -> None:
            super().__init__(tiny_vit(), 3, "cls")
            self.factor = torch.nn.Parameter(torch.tensor(1.5))

        def logits(self, images: "Tensor") -> "Tensor":
            if called:
                return super().logits(images) * self.factor
            norm = next(blocks(self)).get_submodule("norm1")
            out: Tensor = self.head(norm(torch.ones(len(images), int(str(VIT["embed_dim"])))))
            return out

    return Scaled()


def fit(name: str, task: "Task", states: Path, keep: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Train `name` from the state in `states`, if there is one; return its final state and its curve."""
    from fieldmark.engine.checkpoint import StateKey
    from fieldmark.engine.training import train_on

    where = replace(task, states=StateKey(states))
    model, images, params = make(name, where)
    curve = train_on(model, images, params, where, name, keep or (lambda done: None))
    return {
        "state": model.state_dict(),
        "losses": [point["loss"] for point in curve],
        "ordinary": is_ordinary(model, make(name, where)[0]),
    }


def is_ordinary(trained: "Trainable", fresh: "Trainable") -> bool:
    """Tell whether modules have the classes, hooks and memory layouts of fresh ones, and can be copied."""
    pairs = list(zip(copy.deepcopy(trained).modules(), fresh.modules(), strict=True))
    weights = zip(trained.parameters(), fresh.parameters(), strict=True)
    hooks = ("_forward_pre_hooks", "_forward_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks")
    return (
        all(type(one) is type(other) or one.__class__.__name__ == "Scaled" for one, other in pairs)
        and all(
            len(getattr(one, hook)) == len(getattr(other, hook)) for one, other in pairs for hook in hooks
        )
        and all(one.stride() == other.stride() for one, other in weights)
    )


def stopped(name: str, task: "Task", states: Path) -> None:
    """Train `name` until it is stopped in the middle, between two states."""

    def keep(done: int) -> None:
        if done == STOPPED_AT:
            raise StoppedError

    with suppress(StoppedError):
        fit(name, task, states, keep)


def held(name: str, task: "Task") -> dict[str, Any]:
    """Return how many bytes of weights and of the optimiser's state this process holds after a step.

    And, for each group of weights, whether the optimiser is told to change them one by one.
    """
    from fieldmark.engine.loop import Stepper
    from fieldmark.runtime.sharding import own_part

    model, _, params = make(name, task)
    adam = params.model_copy(update={"optimizer": "adamw", "accumulate": 1})
    stepper = Stepper(model, adam, task.runtime)
    seen = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    stepper.step(iter([{"images": seen, "labels": torch.tensor([0, 1])}]))
    own = [own_part(weight) for weight in model.parameters()]
    kept = [own_part(value) for state in stepper.optimizer.state.values() for value in state.values()]
    one_by_one = [
        (group["foreach"], group["fused"]) == (False, False) for group in stepper.optimizer.param_groups
    ]
    return {
        "weights": bytes_of(own),
        "optimiser": bytes_of([value for value in kept if value.ndim]),
        "one by one": one_by_one,
    }


def bytes_of(tensors: "list[Tensor]") -> int:
    """Return how many bytes the values of some tensors take."""
    return sum(values.numel() * values.element_size() for values in tensors)


def refused(task: "Task", called: bool = True, **train: object) -> str:
    """Return with which message a training is refused."""
    from fieldmark.base.errors import UserError
    from fieldmark.engine.training import train_on

    _, images, params = make("scaled", task)
    try:
        train_on(scaled(called), images, params.model_copy(update=train), task, "refused")
    except UserError as error:
        return str(error)
    return "nothing"


def kept(task: "Task", folder: Path) -> dict[str, Any]:
    """Return the whole state in the middle of a training, and that at its end."""
    from fieldmark.engine.training import train_on

    then: dict[str, Tensor] = {}
    model, images, params = make("scaled", task)

    def keep(done: int) -> None:
        if done == KEPT_AT:
            with model.whole():
                then.update({key: value.clone() for key, value in model.state_dict().items()})

    task = replace(task, states=replace(task.states, root=folder))
    train_on(model, images, params, task, "kept", keep)
    return {"then": then, "state": model.state_dict()}


def main(folder: Path, processes: int) -> None:
    """Write what each process has, of trainings with copies and with parts."""
    from fieldmark.runtime.distributed import process_rank
    from fieldmark.runtime.params import RuntimeParams
    from fieldmark.runtime.processes import start_processes
    from support.tiny import make_task

    runtimes = {
        way: RuntimeParams(
            device="cpu", devices=processes, workers=0, checkpoint_seconds=0, shard=way == "parts"
        )
        for way in ("copies", "parts")
    }
    fabric = start_processes(runtimes["copies"])
    rank = process_rank()
    task = make_task(folder / f"task-{rank}")
    copies, parts = (replace(task, runtime=runtime) for runtime in runtimes.values())
    found: dict[str, Any] = {
        "copies": {name: fit(name, copies, folder / "copies") for name in NAMES},
        "parts": {name: fit(name, parts, folder / "parts") for name in NAMES},
        "held": {"copies": held("scaled", copies), "parts": held("scaled", parts)},
        "compile": refused(parts, compile=True),
        "uncalled": refused(parts, called=False),
        "kept": kept(parts, folder / "kept"),
    }
    for name in NAMES:
        stopped(name, parts, folder / "stopped")
    fabric.barrier()
    if rank == 0:
        for way in ("parts", "copies", "alone"):
            shutil.copytree(folder / "stopped", folder / f"to {way}")
    fabric.barrier()
    found["resumed in parts"] = {name: fit(name, parts, folder / "to parts") for name in NAMES}
    found["resumed in copies"] = {name: fit(name, copies, folder / "to copies") for name in NAMES}
    torch.save(found, folder / f"{rank}.pt")


if __name__ == "__main__":
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests), str(tests.parent / "src")]
    main(Path(sys.argv[1]), int(sys.argv[2]))
