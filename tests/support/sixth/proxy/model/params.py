"""The `proxy:` block of `params.yaml`."""

from typing import Literal

from pydantic import Field

from fieldmark.contract.method import FrozenParams
from fieldmark.vision.pooling import Pooling


class ProxyParams(FrozenParams):
    """Zhai and Wu, "Classification is a Strong Baseline for Deep Metric Learning", arXiv 1811.12649."""

    variants: tuple[Literal["frozen", "head"], ...] = ("frozen", "head")
    pooling: Pooling = "average"
    dim: int = Field(64, ge=1)  # of the descriptor
    temperature: float = Field(0.05, gt=0.0)  # similarities are divided by it
