"""The `runtime:` block of `params.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from fieldmark.base.blocks import Block

Workers = Annotated[int, Field(ge=0)] | Literal["auto"]


class RuntimeParams(Block):
    """Where and how to run. Nothing here changes a result, so no stage depends on it."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(1, ge=1)  # processes, one device each
    nodes: int = Field(1, ge=1)
    shard: bool = (
        False  # cut weights, gradients and optimiser state over the processes (FSDP); one has all of them
    )
    workers: Workers = "auto"  # loader processes per device; auto: by the processors (`loader_workers`)
    # Where training pictures are augmented: one by one in the loader's workers, or a batch at a time on the device.
    augment: Literal["workers", "device"] = "workers"
    checkpoint_seconds: float = Field(30.0, ge=0)

    @property
    def several(self) -> bool:
        """Whether a stage runs in more than one process."""
        return self.devices * self.nodes > 1

    @property
    def sharded(self) -> bool:
        """Whether each process has a part of the weights that are trained."""
        return self.shard and self.several
