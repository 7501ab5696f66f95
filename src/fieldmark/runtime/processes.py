"""Starting the processes of a stage, one for each device."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from fieldmark.runtime.device import pick_device
from fieldmark.runtime.params import RuntimeParams
from fieldmark.runtime.sharding import shard

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.strategy import Strategy

RESTARTS = "TORCHELASTIC_RESTART_COUNT"  # variable of torchrun: how often it has started all processes again
PATIENCE = timedelta(minutes=30)  # of a process that waits for the others, as PyTorch's is by itself


def start_processes(
    runtime: RuntimeParams, precision: Literal["bf16-mixed", "32-true"] = "32-true"
) -> "Fabric":
    """Return this process's part of the devices; the first call starts the others, or finds them started.

    Fabric starts those of one machine by running this program again; torchrun and Slurm start all of them.
    """
    from lightning_fabric import Fabric  # takes a second: who reads a trained model does not wait for it

    device = pick_device(runtime)
    if runtime.several and int(os.environ.get(RESTARTS, "0")):
        _meet_again("nccl" if device == "cuda" else "gloo")
    fabric = Fabric(
        accelerator=device,
        devices=runtime.devices,
        num_nodes=runtime.nodes,
        strategy=_strategy(runtime),
        precision=precision,
    )
    fabric.launch()
    return fabric


def _strategy(runtime: RuntimeParams) -> "str | Strategy":
    """Return how processes train one module: with a copy each, or with a part of it each."""
    if not runtime.several:
        return "auto"
    if not runtime.sharded:
        # Without this DDP puts gradients into another order after its first step. Three processes or more would then
        # add those of the first step after a restart in another order than a run that was never stopped.
        return "ddp_find_unused_parameters_true"
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    count = runtime.devices * runtime.nodes
    return ModelParallelStrategy(shard, data_parallel_size=count, tensor_parallel_size=1)


def _meet_again(backend: str) -> None:
    """Join the processes that torchrun has started again, before Fabric does.

    They meet in the store in which the killed ones met, which still has their addresses: under a prefix of its own
    nobody waits for these.
    """
    if not dist.is_initialized():
        store, rank, count = next(rendezvous("env://", timeout=PATIENCE))
        again = dist.PrefixStore(f"restart-{os.environ[RESTARTS]}", store)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=again, rank=rank, world_size=count, timeout=PATIENCE)


def start_scoring(runtime: RuntimeParams) -> None:
    """Start the processes that share the pictures of what is scored; one alone starts nothing."""
    if runtime.several:
        start_processes(runtime)
