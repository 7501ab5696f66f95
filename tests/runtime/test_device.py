"""Which device a stage runs on."""

import pytest
import torch

from fieldmark.base.errors import UserError
from fieldmark.runtime.device import moved, pick_device
from fieldmark.runtime.params import RuntimeParams


def test_an_absent_device_is_refused() -> None:
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(UserError, match=f"runtime.device is {absent}"):
        pick_device(RuntimeParams(device=absent))


def test_what_is_on_the_device_is_not_copied() -> None:
    values = torch.arange(3)
    assert moved(values, torch.device("cpu")) is values
