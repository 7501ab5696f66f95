"""On a GPU nothing is left behind on the CPU and no step waits: shown with tensors that are there in name only."""

from collections.abc import Callable

import pytest
import torch
from support.everything import NAMES
from support.fake import Waits, fake_batch, on_fake_device
from support.trainings import Training
from torch import Tensor, nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from fieldmark.engine.trainable import Losses, Trainable

Make = Callable[[str], Training]
OtherDevice = getattr(
    fake_tensor, "FakeTensorDeviceMismatchError", RuntimeError
)  # torch 2.11 has no name for it


@pytest.mark.parametrize("name", NAMES)
def test_a_step_and_inference_stay_on_the_device(training: Make, name: str) -> None:
    made = training(name)
    model = made.build()
    with on_fake_device(model):
        batch = fake_batch(made.batch)
        if made.params.steps:
            model.train().before_step(made.params.steps - 1)
            losses = model(batch)
            assert {value.device.type for value in losses.values()} == {"cuda"}
            assert losses["loss"].shape == ()
            model.after_step(made.params.steps - 1)
        with torch.no_grad():
            said = made.outputs(model.eval(), batch)
        assert {value.device.type for value in said} == {"cuda"}


class Careless(Trainable):
    """Does one careless thing to the features of its pictures."""

    def __init__(self, act: Callable[["Careless", Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(3, 2), act
        self.left = torch.ones(2)  # neither a parameter nor a buffer: nothing moves it

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        loss = self.act(self, self.layer(batch["images"])).sum()
        return {"loss": loss}


def run(act: Callable[[Careless, Tensor], Tensor]) -> Tensor:
    model = Careless(act)
    with on_fake_device(model):
        return model(fake_batch({"images": torch.ones(4, 3)}))["loss"]


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda model, features: features * model.left, OtherDevice),
        (lambda model, features: features * torch.arange(2), OtherDevice),
        (lambda model, features: features[features > 0], DynamicOutputShapeException),
        (lambda model, features: features.nonzero().float(), DynamicOutputShapeException),
        (lambda model, features: features.flatten().unique(), DynamicOutputShapeException),
        (lambda model, features: features * features.max().item(), DataDependentOutputException),
        (
            lambda model, features: features if bool(features.sum() > 0) else -features,
            DataDependentOutputException,
        ),
        (lambda model, features: features[: int(features.argmax())], DataDependentOutputException),
        (lambda model, features: features.cpu(), Waits),
        (lambda model, features: features.to("cpu", non_blocking=True), Waits),
        (lambda model, features: features * model.left.to("cuda"), Waits),
        (lambda model, features: features * features.new_tensor([1.0, 2.0]), Waits),
        (lambda model, features: features.clone().copy_(torch.ones(4, 2)), Waits),
        (lambda model, features: features[torch.tensor([0, 1])], Waits),
    ],
)
def test_carelessness_is_seen(act: Callable[[Careless, Tensor], Tensor], error: type[Exception]) -> None:
    with pytest.raises(error):
        run(act)


def test_care_is_let_pass() -> None:
    loss = run(lambda model, features: features * model.left.to("cuda", non_blocking=True))
    assert loss.device.type == "cuda"
