"""What only a GPU can show; run with `make test ARGS='-m gpu'`."""

import dataclasses
from pathlib import Path

import pytest
import torch
from support.tiny import SIDE, make_task

from fieldmark.base.blocks import parse
from fieldmark.engine.training import train_on
from fieldmark.methods.irt.model.method import Irt
from fieldmark.methods.irt.model.params import IrtParams
from fieldmark.runtime.params import RuntimeParams

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_on_cuda_follows_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.chdir(tmp_path)
    train = {"steps": 20, "batch_size": 6, "images_per_class": 2, "lr": 1e-3, "precision": precision}
    params = parse(
        IrtParams, {"images": {"side": SIDE, "crop": "centre", "flip": False}, "train": train}, "irt"
    )
    vectors = {}
    for device in ("cpu", "cuda"):
        task = make_task(tmp_path / device)
        task = dataclasses.replace(task, runtime=RuntimeParams(device=device, workers=1))
        torch.manual_seed(0)
        method = Irt.build(Irt.named(params, "R"), task)
        train_on(method, params.images, params.seeded, task, f"irt/{device}")
        vectors[device] = task.run(method, method.embed, task.subset("test"), params.images, device)
    similarity = (vectors["cpu"] * vectors["cuda"]).sum(1)
    assert float(similarity.min()) > (0.999 if precision == "fp32" else 0.97)
