"""Opening what training and evaluation stages read."""

from pathlib import Path
from typing import Any

from fieldmark.base.blocks import pick
from fieldmark.contract.method import MethodParams, Task
from fieldmark.datasets.data.manifest import read_manifest
from fieldmark.datasets.data.store import ImageStore
from fieldmark.datasets.splitting.splits import read_split, read_splits
from fieldmark.engine.checkpoint import fingerprint
from fieldmark.preflight.check import NO_TEXT, read_method, read_runtime, read_wiring

MODELS, TEXTS = Path("models"), Path("data/text")


def open_task(
    params: dict[str, Any], split: str, name: str, backbone: str = "", text: str = NO_TEXT
) -> tuple[Task, list[Path]]:
    """Open a split with its pictures for run `name`; return the task and what its results depend on."""
    own = pick(read_splits(params), split, "splits")
    data, split_file = Path("data/prepared") / own.dataset, Path(f"data/splits/{split}.parquet")
    task = Task(
        store=ImageStore.open(data),
        manifest=read_manifest(data / "manifest.parquet"),
        split=read_split(split_file),
        ks=own.ks,
        backbone=MODELS / backbone,
        text=TEXTS / text,
        history=Path("reports/history") / name,
        runtime=read_runtime(params),
        head=own.head,
        tail=own.tail,
    )
    return task, [data / "manifest.parquet", split_file]


def resume_key(own: Any, params: dict[str, Any], split: str, inputs: list[Path]) -> str:
    """Name what a state on disk belongs to: a method's block, how its pictures were prepared, and input files."""
    data = params["datasets"][pick(read_splits(params), split, "splits").dataset]
    return fingerprint([own.model_dump(), data], inputs)


def open_method(name: str, params: dict[str, Any]) -> tuple[MethodParams, Task, list[Path]]:
    """Return a method's parameters, its task, and the files that its results depend on."""
    wiring = read_wiring(params, name)
    own = read_method(params, name)
    task, inputs = open_task(params, wiring.split, name, wiring.backbone, wiring.text)
    texts = sorted(task.text.glob("*.*"))
    return own, task, [*inputs, MODELS / wiring.backbone / "weights.safetensors", *texts]
