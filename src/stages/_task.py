"""Opening the data that training and scoring stages read."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from fieldmark.base.blocks import Block, read_yaml
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.batches.boxed import BoxedStore, QueryStore
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.splits import SplitParams, read_split
from fieldmark.engine.checkpoint import RESUME, StateKey
from fieldmark.engine.task import Judged, Task
from fieldmark.engine.wiring import JUDGED, NO_TEXT, Wiring, read_judge
from fieldmark.runtime.params import RuntimeParams

MODELS, HISTORY = Path("models"), Path("reports/history")
TEXTS, PREPARED = Path("data/text"), Path("data/prepared")
WEIGHTS = "weights.safetensors"


def open_task(
    configuration: Configuration,
    stage: str,
    wiring: Wiring,
    params: Block,
    history: str,
    inputs: Iterable[Path] = (),
) -> Task:
    """Open the task of a stage such as "train@irt": the split of `wiring`, its pictures, and where the rest lies.

    `params` is the block of what is trained, `history` the folder of its curves. A killed run is continued only when
    parameters, pictures, split, backbone, text, the files `inputs` and the code are the same as before.
    """
    configuration.require_split(wiring.split, wiring.dataset, stage)
    data, split = PREPARED / wiring.dataset, Path(f"data/splits/{wiring.split}.parquet")
    files = [data / "manifest.parquet", split, *sorted((TEXTS / wiring.text).rglob("*.*")), *inputs]
    if wiring.backbone:
        files.append(MODELS / wiring.backbone / WEIGHTS)
    pictures = {**configuration.raw_item("datasets", wiring.dataset), "region": wiring.region}
    manifest, roles = read_manifest(data / "manifest.parquet"), read_split(split)
    split_params = configuration.item("splits", wiring.split, SplitParams)
    return Task(
        store=open_store(data, manifest, roles, split_params.kind, wiring.region),
        manifest=manifest,
        split=roles,
        split_params=split_params,
        backbone=MODELS / wiring.backbone,
        text=TEXTS / wiring.text,
        history=HISTORY / history,
        runtime=configuration.block("runtime", RuntimeParams),
        states=StateKey(RESUME, params.model_dump(mode="json"), (*files, *code_of(stage)), pictures),
    )


def open_judged(configuration: Configuration, name: str, params: Block) -> Judged | None:
    """Open what the features of method `name` are judged on and beside; None without an item of `judge:`."""
    if name not in configuration.section("judge"):
        return None
    judge, folder = read_judge(configuration, name), MODELS / name / JUDGED
    inputs = sorted(folder.glob("*.*"))
    task = open_task(configuration, f"evaluate@{name}", judge.pictures, params, name, inputs)
    return Judged(task, {backbone: folder / backbone for backbone in judge.backbones})


def open_store(data: Path, manifest: pd.DataFrame, split: pd.DataFrame, kind: str, region: str) -> ImageStore:
    """Open the pictures in `data` as they are shown: cut to boxes where the wiring or the benchmark says so."""
    if kind == "landmarks":
        return QueryStore.of(data, manifest, split["id"][split["role"] == "query"].tolist())
    return BoxedStore.of(data, manifest) if region == "box" else ImageStore.open(data)


def pictures_alone(dataset: str, split: str) -> Wiring:
    """Return a wiring without backbone and text, for what works on pictures only."""
    return Wiring(dataset=dataset, split=split, backbone="", text=NO_TEXT)


def code_of(stage: str) -> tuple[Path, ...]:
    """Return the code that a stage such as `train@irt` runs: the files of the folders in its `deps` in dvc.yaml.

    Of an arm and of `transfer` the item is the method, whose code they run: `arm@irt`.
    """
    kind, _, item = stage.partition("@")
    deps = read_yaml(Path("dvc.yaml"))["stages"][kind]["do"]["deps"]
    named = [dep.replace("${key}", item).replace("${item.method}", item) for dep in deps]
    folders = [Path(dep) for dep in named if dep.startswith("src/")]
    return tuple(
        sorted(
            file for folder in folders for file in ([folder] if folder.is_file() else folder.rglob("*.py"))
        )
    )
