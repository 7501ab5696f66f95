"""Losses that go wrong end the run; training curves are written while they grow and when they are done."""

import json
import math
from pathlib import Path

import pytest
from dvclive.live import Live
from support.regression import Linear, regress, states

from fieldmark.base.errors import UserError
from fieldmark.engine.monitor import write_curves
from fieldmark.figures.curves import curves_by_loss, labelled, read_curves


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of the live curves that were closed."""
    folders: list[str] = []
    end = Live.end

    def recorded(live: Live) -> None:
        folders.append(live.dir)
        end(live)

    monkeypatch.setattr(Live, "end", recorded)
    return folders


@pytest.mark.parametrize(
    ("factor", "message"), [(float("nan"), "'error' is nan"), (float("inf"), "'error' is inf")]
)
def test_a_bad_loss_stops_with_step_and_culprit(tmp_path: Path, factor: float, message: str) -> None:
    regress(tmp_path, Linear(), "sound")
    assert states(tmp_path, "sound"), "no state was saved where one should be"
    with pytest.raises(UserError, match=f"step 8: loss {message}"):
        regress(tmp_path, Linear({7: factor}))
    assert not states(tmp_path), "a spoilt state was saved"


def test_an_exploding_loss_stops_and_its_live_curve_is_closed(tmp_path: Path, closed: list[str]) -> None:
    with pytest.raises(UserError, match=r"step 14: the loss exploded.*'error'"):
        regress(tmp_path, Linear({13: 1e9}), "irt/R", steps=20, clip_norm=0.1)
    assert closed == ["live/irt/R"]
    assert json.loads((tmp_path / "live/irt/R/metrics.json").read_text())["step"] == 10


def test_the_live_curve_has_every_point_of_the_training_curve(tmp_path: Path, closed: list[str]) -> None:
    curve = regress(tmp_path, Linear(), "irt/R", steps=25)
    assert closed == ["live/irt/R"]
    lines = (tmp_path / "live/irt/R/plots/metrics/loss.tsv").read_text().splitlines()
    assert [line.split("\t") for line in lines[1:]] == [
        [str(point["step"]), str(point["loss"])] for point in curve
    ]
    assert [point["step"] for point in curve] == [10, 20, 25]


def test_curves_are_text_with_whole_steps_and_six_digits(tmp_path: Path) -> None:
    points = [
        {"step": 10, "lr": 2e-3, "a": 1.23456789, "loss": 1.0},
        {"step": 1_250_000, "lr": 1e-3 / 3, "a": 123456.789, "loss": 1e-9, "b": 0.5},
        {"step": 1_250_010, "lr": 0.0, "a": 1234567.0, "loss": 12.0, "b": 1 / 3},
    ]
    write_curves(tmp_path / "h", {"L": points})
    assert (tmp_path / "h/L.csv").read_bytes().decode() == (
        "step,lr,a,loss,b\n"
        "10,0.002,1.23457,1,\n"
        "1250000,0.000333333,123457,1e-09,0.5\n"
        "1250010,0,1.23457e+06,12,0.333333\n"
    )


def test_a_training_run_writes_the_text_that_its_numbers_give(tmp_path: Path) -> None:
    """As a slow writer would: six significant digits, in the order of the names."""
    curve = regress(tmp_path, Linear(), steps=25)
    write_curves(tmp_path / "h", {"run": curve})
    rows = [",".join(f"{value:.6g}" for value in point.values()) for point in curve]
    assert (tmp_path / "h/run.csv").read_text().splitlines() == ["step,lr,error,loss", *rows]


def test_written_curves_come_back_and_what_lacks_is_nan(tmp_path: Path) -> None:
    points = [
        {"step": 10, "lr": 0.1, "a": 1.5, "c": math.nan},
        {"step": 20, "lr": 0.1, "a": 1.25, "b": 2.0, "c": 3.0},
    ]
    short = [{"step": 10, "lr": 0.1, "a": 1.5}]
    write_curves(tmp_path / "h", {"L/0": points, "R/10": short, "R/9": points})
    curves = read_curves(tmp_path / "h")
    assert {name: list(by_seed) for name, by_seed in curves.items()} == {"L": [0], "R": [9, 10]}
    assert curves["R"][10] == {"step": [10], "lr": [0.1], "a": [1.5]}
    assert curves["L"][0]["a"] == [1.5, 1.25]
    assert str(curves["L"][0]["b"]) == "[nan, 2.0]"
    assert str(curves["L"][0]["c"]) == "[nan, 3.0]"
    assert list(labelled(curves)) == ["L", "R from seed 9", "R from seed 10"]
    assert curves_by_loss(curves)["a"]["R"] == ([10.0, 20.0], [1.5, 1.25])  # of the first seed
    write_curves(tmp_path / "none", {})
    assert read_curves(tmp_path / "none") == {}
