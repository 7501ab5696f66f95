"""Whatever is trained, in each variant: the loss falls, saving changes nothing, a kill changes nothing."""

import random
from collections.abc import Callable
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from support.everything import FINE_TUNING, NAMES, TRAINED, VIEWED
from support.trainings import Training
from torch import Tensor, nn

from fieldmark.contract.method import Method
from fieldmark.engine import loop
from fieldmark.engine.loop import Stepper
from fieldmark.engine.trainable import Trainable
from fieldmark.runtime.params import RuntimeParams

Make = Callable[[str], Training]
Practised = Callable[[str], tuple[Trainable, list[float]]]
FALLING_STEPS, RATE = 36, 1e-2
FALL = 0.05  # as a fraction of the first loss
WINDOW = 2  # steps per point of the curve, after each of which a state is saved


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "WINDOW", WINDOW)


@pytest.fixture(scope="module")
def practised(here: Path, made: Make) -> Practised:
    """Returns a model after a few dozen steps on one batch, and the losses on the way."""
    return cache(lambda name: practise(made(name)))


def practise(made: Training) -> tuple[Trainable, list[float]]:
    """Take a few dozen steps on one batch with the optimiser of the real block; what has no steps takes none."""
    model, losses = made.build(), []
    if not made.params.steps:
        return model, losses
    changes = {"lr": RATE, "schedule": "constant", "warmup_steps": 0, "drop_every": None}
    stepper = Stepper(model, made.params.model_copy(update=changes), RuntimeParams(device="cpu"))
    stepper.set_rate(0)
    for _ in range(FALLING_STEPS):
        torch.manual_seed(0)  # the same dropout each time
        model.before_step(1)  # the same views each time
        losses.append(float(stepper.step(repeat(made.batch))["loss"]))
        model.after_step(1)
    return model, losses


@pytest.mark.parametrize("name", TRAINED)
def test_the_loss_of_one_batch_falls(practised: Practised, name: str) -> None:
    _, losses = practised(name)
    assert losses[-1] < losses[0] - FALL * abs(losses[0])


@pytest.mark.parametrize("name", [name for name in NAMES if name != FINE_TUNING])
def test_saved_and_loaded_it_says_the_same(
    training: Make, practised: Practised, name: str, tmp_path: Path
) -> None:
    made, (model, _) = training(name), practised(name)
    assert made.kept is not None
    saved, loaded = made.kept(model, tmp_path / "saved")
    assert saved is not loaded
    if isinstance(saved, Method) and isinstance(loaded, Method):
        assert loaded.variant == saved.variant
    with torch.no_grad():
        said, again = made.outputs(saved, made.batch), made.outputs(loaded, made.batch)
    assert len(said) == len(again) > 0
    assert all(torch.equal(value, other) for value, other in zip(said, again, strict=True))
    assert said[0].std() > 0


@pytest.mark.parametrize("name", [*TRAINED, *VIEWED])
def test_killed_at_a_random_step_it_ends_like_an_uninterrupted_run(
    training: Make, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = training(name)
    whole, curve = made.fit(made.within(tmp_path / "whole"))
    cut = made.within(tmp_path / "cut")
    last = random.Random(name).randrange(WINDOW, made.params.steps)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Stepper, "set_rate", killed_at(last))
        made.fit(cut)
    [state] = (tmp_path / "cut").rglob("state.pt")
    assert torch.load(state, weights_only=True)["step"] == last // WINDOW * WINDOW
    torch.manual_seed(99)
    resumed, other_curve = made.fit(cut)
    assert curve == other_curve
    assert [point["step"] for point in curve] == list(range(WINDOW, made.params.steps + 1, WINDOW))
    assert differing(whole, resumed) == []


def killed_at(last: int) -> Callable[[Stepper, int], float]:
    """Return a `Stepper.set_rate` that is killed when step `last` is to be made."""
    set_rate = Stepper.set_rate

    def set_or_die(stepper: Stepper, step: int) -> float:
        if step == last:
            raise KeyboardInterrupt
        return set_rate(stepper, step)

    return set_or_die


def differing(model: nn.Module, other: nn.Module) -> list[str]:
    """Return the names of what differs in the states of two models, by a bit."""
    state, others = model.state_dict(), other.state_dict()
    assert state.keys() == others.keys()
    return [name for name, value in state.items() if not same(value, others[name])]


def same(value: Any, other: Any) -> bool:
    return torch.equal(value, other) if isinstance(value, Tensor) else bool(value == other)


def test_a_difference_of_one_bit_is_seen(training: Make) -> None:
    made = training("irt/R")
    model, other = made.build(), made.build()
    assert differing(model, other) == []
    weight = next(other.parameters()).data
    weight.view(-1)[0] = torch.nextafter(weight.view(-1)[0], torch.tensor(9.0))
    assert len(differing(model, other)) == 1
