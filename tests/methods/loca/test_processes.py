"""Two processes with half the batch each must end where one process with all of it ends."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]
PROGRAM = """
import dataclasses, sys
sys.path[:0] = [{tests!r}, {src!r}]
from pathlib import Path
import torch
from support.tiny import SIDE, make_task
from fieldmark.runtime.distributed import first_process
from fieldmark.runtime.params import RuntimeParams
from fieldmark.engine.training import train_on
from fieldmark.methods.loca.model.method import Loca
from fieldmark.methods.loca.model.params import LocaParams
from fieldmark.base.blocks import parse

here, devices = Path(sys.argv[1]), int(sys.argv[2])
runtime = RuntimeParams(device="cpu", devices=devices, workers=0, checkpoint_seconds=100)
scratch = here / str(devices) / ("first" if first_process() else "second")
task = dataclasses.replace(make_task(scratch), runtime=runtime)
whole = parse(LocaParams, {{
    "arch": "vit_tiny_patch16_224",
    "options": {{"patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}},
    "views": {{"reference_size": SIDE, "random_tokens": 6, "focal_count": 2, "focal_size": 16}},
    "head": {{"prototypes": 12, "hidden": 16, "bottleneck": 8}}, "drop_path": 0.5, "momentum": 0.9,
    "images": {{"side": SIDE, "crop": "centre", "flip": False}},
    "train": {{"steps": 3, "batch_size": 12, "optimizer": "sgd", "lr": 0.05, "clip_norm": 1.0}},
}}, "loca")
for mode in ("position", "LOCA"):
    torch.manual_seed(0)
    method = Loca.build(Loca.named(whole, mode), task)
    curve = train_on(method, method.params.images, method.params.train, task, mode)
    if first_process():
        losses = {{k: torch.tensor(curve[-1][k]) for k in ("position", "cluster", "me_max") if k in curve[-1]}}
        torch.save({{**method.state_dict(), **losses}}, here / f"{{mode}}-{{devices}}.pt")
"""


def test_two_processes_equal_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(tests=str(ROOT / "tests"), src=str(ROOT / "src")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["program", str(tmp_path), "1"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(script), run_name="__main__")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "2"], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for mode in ("position", "LOCA"):
        one, two = (torch.load(tmp_path / f"{mode}-{n}.pt", weights_only=True) for n in (1, 2))
        assert one.keys() == two.keys()
        for name, value in one.items():
            torch.testing.assert_close(
                two[name], value, atol=2e-5, rtol=1e-4, msg=lambda m, n=name, v=mode: f"{v} {n}: {m}"
            )
