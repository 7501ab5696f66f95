"""Two processes with half the batch each must end where one process with all of it ends."""

import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
sys.path[:0] = [{tests!r}, {src!r}]
from pathlib import Path
import torch
from support.tiny import SIDE, make_task
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.params import TrainParams
from fieldmark.engine.training import train_on
from fieldmark.runtime.distributed import first_process
from fieldmark.runtime.params import RuntimeParams
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams, MemoryParams
import dataclasses

here, devices = Path(sys.argv[1]), int(sys.argv[2])
runtime = RuntimeParams(device="cpu", devices=devices, workers=0, checkpoint_seconds=100)
scratch = here / str(devices) / ("first" if first_process() else "second")
task = dataclasses.replace(make_task(scratch), runtime=runtime)
params = IrtParams(
    images=ImageParams(side=SIDE),
    train=TrainParams(steps=4, batch_size=12, images_per_class=2, lr=1e-3, clip_norm=1.0),
    memory=MemoryParams(momentum=0.9),
)
torch.manual_seed(0)
method = Irt.build(Irt.named(params, "R"), task)
train_on(method, params.images, params.train, task, "irt/R")
if first_process():
    torch.save(method.state_dict(), here / f"{{devices}}.pt")
"""


def test_two_processes_equal_one(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(tests=str(ROOT / "tests"), src=str(ROOT / "src")))
    for devices in (1, 2):
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path), str(devices)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    whole, halves = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in (1, 2))
    assert whole.keys() == halves.keys()
    moved = False
    for name, value in whole.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(
                halves[name], value, atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )
            moved = moved or bool(value.abs().sum() > 0)
        else:
            assert halves[name] == value
    assert moved
