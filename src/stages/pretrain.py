"""Make the backbone that params.yaml names: train it, or take it with its weights, and score it."""

from pathlib import Path
from typing import Any

from _stage import run
from _task import open_task, resume_key

from fieldmark.base.files import write_json
from fieldmark.engine.checkpoint import RESUME, CheckpointFolder
from fieldmark.engine.watch import write_curves
from fieldmark.preflight.check import read_backbone
from fieldmark.pretraining.backbones import pretrain
from fieldmark.runtime.processes import first_process
from fieldmark.vision.backbones import save_backbone


def main(name: str, params: dict[str, Any]) -> None:
    own = read_backbone(params, name)
    task, inputs = open_task(params, own.split, f"pretrain-{name}")
    checkpoints = CheckpointFolder(RESUME, f"pretrain-{name}", resume_key(own, params, own.split, inputs))
    backbone, metrics, curve = pretrain(own, task, checkpoints, f"pretrain-{name}")
    if not first_process():
        return
    save_backbone(backbone, Path("models/backbones") / name)
    write_curves(task.history, {"loss": curve} if curve else {})
    write_json(
        Path(f"reports/backbones/{name}.json"),
        {
            "name": name,
            "arch": f"{own.library}: {own.arch}",
            "weights": Path(own.weights).name if own.weights else f"trained here on split '{own.split}'",
            "parameters": sum(p.numel() for p in backbone.parameters()),
            "split": own.split,
            "metrics": metrics,
        },
    )
    checkpoints.clear()


if __name__ == "__main__":
    run(main, __doc__ or "", "a backbone of params.yaml, such as vit")
