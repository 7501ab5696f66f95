"""The items of `backbones:` in `params.yaml`."""

from pydantic import Field, model_validator

from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.params import TrainParams
from fieldmark.vision.backbones import NetworkParams
from fieldmark.vision.pooling import Pooling


class BackboneParams(NetworkParams):
    """One item of `backbones:`: a network, and either its weights or how to train it on a split."""

    dataset: str  # the split's
    split: str  # trained on its "train" pictures when no weights are named; scored on its "test" pictures
    images: ImageParams
    pooling: Pooling = "average"
    train: TrainParams | None = None
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _weights_or_training(self) -> "BackboneParams":
        if (self.weights is None) == (self.train is None):
            raise ValueError("name either weights (a file, or 'library') or a train block")
        return self
