"""Loader processes by the machine, the devices and what runs beside."""

import pytest

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.base.processors import SIDE_BY_SIDE
from fieldmark.runtime import workers
from fieldmark.runtime.params import RuntimeParams
from fieldmark.runtime.workers import loader_workers


@pytest.mark.parametrize(
    ("device", "processors", "devices", "jobs", "expected"),
    [
        ("cpu", 1, 1, 1, 1),
        ("cpu", 2, 1, 1, 1),
        ("cpu", 2, 1, 2, 1),
        ("cpu", 32, 1, 2, 2),
        ("cpu", 256, 1, 1, 8),
        ("cuda", 1, 1, 1, 1),
        ("cuda", 12, 1, 1, 11),
        ("cuda", 64, 1, 1, 16),
        ("cuda", 32, 4, 1, 7),
        ("cuda", 32, 1, 4, 7),
        ("cuda", 8, 8, 1, 1),
    ],
)
def test_auto_shares_the_processors(
    monkeypatch: pytest.MonkeyPatch, device: str, processors: int, devices: int, jobs: int, expected: int
) -> None:
    monkeypatch.setattr(workers, "processors", lambda: processors)
    monkeypatch.setattr(workers, "pick_device", lambda runtime: device)
    monkeypatch.setenv(SIDE_BY_SIDE, str(jobs))
    assert loader_workers(RuntimeParams(workers="auto", devices=devices)) == expected


def test_a_number_holds_and_auto_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIDE_BY_SIDE, raising=False)
    monkeypatch.setattr(workers, "processors", lambda: 4)
    assert loader_workers(RuntimeParams(workers=0)) == 0
    assert loader_workers(RuntimeParams(workers=33)) == 33
    assert loader_workers(RuntimeParams(device="cpu")) == 1


@pytest.mark.parametrize("wrong", [-1, "many", None])
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(UserError, match=r"^parameter runtime\.workers"):
        parse(RuntimeParams, {"workers": wrong}, "runtime")
