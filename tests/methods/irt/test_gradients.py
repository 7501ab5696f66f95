"""The spread of gradients: against the covariance by definition, and through a killed run."""

from pathlib import Path

import pytest
import torch
from support.tiny import make_task
from torch.nn.functional import normalize

from fieldmark.contract.variants import load_model, save_model
from fieldmark.methods.irt.model.gradients import MeanOverSteps, gradient_spread
from fieldmark.methods.irt.model.losses import contrastive_loss

from .test_method import batch, build, params


def test_the_spread_is_the_nuclear_norm_of_the_covariance_of_the_gradients() -> None:
    rows = torch.randn(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z, labels = normalize(rows, dim=1).requires_grad_(), torch.arange(12) % 3
    loss = contrastive_loss(z, labels, margin=0.1)
    spread = gradient_spread(loss, z)
    loss.backward()  # the graph is still there
    assert z.grad is not None
    covariance = torch.cov(z.grad.T, correction=0)
    assert float(spread) == pytest.approx(float(torch.linalg.matrix_norm(covariance, "nuc")), rel=1e-6)
    assert not spread.requires_grad


def test_equal_gradients_have_no_spread() -> None:
    z = torch.randn(4, 3, requires_grad=True)
    assert float(gradient_spread((z @ torch.ones(3)).sum(), z)) == pytest.approx(0.0, abs=1e-12)


def test_the_mean_goes_on_where_a_killed_run_stopped() -> None:
    whole, first, second = MeanOverSteps(), MeanOverSteps(), MeanOverSteps()
    assert whole.mean is None
    for step, value in enumerate((1.0, 2.0, 6.0)):
        whole.see(torch.tensor(value))
        (first if step < 2 else second).see(torch.tensor(value))
        if step == 1:
            second.load_state_dict(first.state_dict())
    assert whole.mean == second.mean == 3.0
    assert second.steps == 3


def test_it_is_measured_where_asked_for_and_changes_no_loss(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    plain, measuring = (build(params(gradients=asked), task) for asked in (False, True))
    assert plain.gradients is None
    for key, value in plain(batch(task)).items():
        torch.testing.assert_close(measuring(batch(task))[key] if key == "contrastive" else value, value)
    assert measuring.gradients is not None
    with torch.no_grad():
        measuring(batch(task))
    assert measuring.gradients.steps == 1  # where nothing is trained there is no gradient
    measuring.finish(task)
    save_model(measuring, tmp_path / "R")
    again = load_model(tmp_path / "R")
    assert again.gradient_spread == measuring.gradient_spread == measuring.gradients.mean
    assert measuring.gradient_spread is not None
    assert measuring.gradient_spread > 0
