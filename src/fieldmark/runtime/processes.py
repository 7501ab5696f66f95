"""Starting the processes of a stage, one for each device."""

from typing import TYPE_CHECKING, Literal

from fieldmark.runtime.device import pick_device
from fieldmark.runtime.params import RuntimeParams

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def start_processes(
    runtime: RuntimeParams, precision: Literal["bf16-mixed", "32-true"] = "32-true"
) -> "Fabric":
    """Return this process's part of the devices; the first call starts the others, or finds them started.

    Fabric starts those of one machine by running this program again; torchrun and Slurm start all of them.
    """
    from lightning_fabric import Fabric  # takes a second: who reads a trained model does not wait for it

    several = runtime.devices * runtime.nodes > 1
    fabric = Fabric(
        accelerator=pick_device(runtime),
        devices=runtime.devices,
        num_nodes=runtime.nodes,
        strategy="ddp" if several else "auto",
        precision=precision,
    )
    fabric.launch()
    return fabric


def start_scoring(runtime: RuntimeParams) -> None:
    """Start the processes that share the pictures of what is scored; one alone starts nothing."""
    if runtime.devices * runtime.nodes > 1:
        start_processes(runtime)
