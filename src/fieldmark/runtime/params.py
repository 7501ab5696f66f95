"""The `runtime:` block of `params.yaml`."""

from typing import Literal

from pydantic import Field

from fieldmark.base.blocks import Block


class RuntimeParams(Block):
    """Where and how to run. Nothing here changes a result, so no stage depends on it."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(1, ge=1)  # processes, one device each
    nodes: int = Field(1, ge=1)
    workers: int = Field(1, ge=0)  # loader processes per device
    checkpoint_seconds: float = Field(30.0, ge=0)
