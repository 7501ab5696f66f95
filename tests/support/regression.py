"""The smallest thing that can be trained, to look at the loop through."""

from pathlib import Path

import torch
from torch import Tensor, nn

from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import TrainParams
from fieldmark.engine.trainable import Losses, Trainable
from fieldmark.engine.training import train_on
from support.tiny import SIDE, make_task


class Linear(Trainable):
    """Regresses the label from the mean colour; `spoil` turns its loss into something else at a step."""

    def __init__(self, spoil: dict[int, float] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.spoil, self.now = nn.Linear(3, 1), spoil or {}, 0
        self.seen: list[Tensor] = []

    def before_step(self, step: int) -> None:
        self.now = step

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        self.seen.append(batch["indices"].cpu())
        colour = batch["images"].float().mean((2, 3)) / 255
        error = (self.layer(colour)[:, 0] - batch["labels"]).square().mean()
        factor = self.spoil.get(self.now, 1.0)
        return {"error": error * factor, "loss": error * factor}


def regress(folder: Path, model: Linear, name: str = "run", **changes: object) -> list[Point]:
    """Train `model` for twelve steps of SGD; its data and its states lie in `folder/<name>`."""
    params = TrainParams(**{"steps": 12, "batch_size": 6, "lr": 0.1, "optimizer": "sgd", **changes})
    images = ImageParams(side=SIDE, crop="centre", flip=False)
    return train_on(model, images, params, make_task(folder / name), name)


def states(folder: Path, name: str = "run") -> list[Path]:
    """Return the mid-training states that `regress` left."""
    return list((folder / name / "states" / name).glob("*/state.pt"))
