"""Losses in full precision, whatever precision the network runs in."""

import pytest
import torch

from fieldmark.engine.precision import full_precision


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_raised_and_no_other(given: torch.dtype, expected: torch.dtype) -> None:
    values = torch.tensor([0.5, -2.0], dtype=given)
    raised = full_precision(values)
    assert raised.dtype == expected
    assert raised.tolist() == [0.5, -2.0]
