"""Training every variant that a method's parameters ask for, and finding methods by name."""

import importlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.base.files import write_json
from fieldmark.contract.method import SNAPSHOTS, Method, MethodParams, Subset, Task, Trainable
from fieldmark.datasets.data.loading import PictureDataset
from fieldmark.datasets.data.samplers import ClassBalancedSampler, Sampler, ShuffledSampler
from fieldmark.datasets.data.transforms import ImageParams, training_transform
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.loop import train
from fieldmark.engine.params import TrainParams
from fieldmark.engine.watch import Point

DESCRIPTION = "model.json"
LIVE = Path("live")


def known_methods() -> list[str]:
    """Return the names of the folders under `fieldmark/methods`."""
    folder = Path(__file__).resolve().parents[1] / "methods"
    return sorted(path.parent.name for path in folder.glob("*/__init__.py"))


def load_method(name: str) -> type[Method]:
    """Return the class that `fieldmark.methods.<name>.model` exports. Raises UserError when unknown."""
    known = known_methods()
    if name not in known:
        raise UserError(f"there is no method '{name}'; there are: {', '.join(known)}")
    method: type[Method] = importlib.import_module(f"fieldmark.methods.{name}.model").METHOD
    return method


def load_evaluation(name: str) -> Callable[..., dict[str, Any]]:
    """Return the `evaluate` function of `fieldmark.methods.<name>.evaluation`; see `Method`."""
    load_method(name)
    function: Callable[..., dict[str, Any]] = importlib.import_module(
        f"fieldmark.methods.{name}.evaluation"
    ).evaluate
    return function


def train_variants(
    name: str, params: MethodParams, task: Task, folder: Path, root: Path, key: str
) -> dict[str, list[Point]]:
    """Train each variant of method `name` and save it to `folder/<variant>`; return the training curves.

    A variant that an earlier, killed call completed is taken from its last state, not trained again.
    """
    method_class = load_method(name)
    curves = {}
    for variant, own in method_class.variants(params).items():
        torch.manual_seed(own.train.seed)
        narrowed = method_class.training_task(own, task)
        method = method_class.build(own, narrowed)
        checkpoints = CheckpointFolder(root, f"{name}-{variant}", key)
        keep = _snapshots(method, name, own, checkpoints.folder / SNAPSHOTS)
        if own.train.steps:
            run = f"{name}-{variant}"
            curves[variant] = train_on(method, own.loaded, own.train, narrowed, checkpoints, run, keep)
        method.finish(narrowed)
        save_model(method, name, own, folder / variant)
        if (checkpoints.folder / SNAPSHOTS).exists():
            shutil.copytree(checkpoints.folder / SNAPSHOTS, folder / variant / SNAPSHOTS)
    return curves


def train_on(
    method: Trainable,
    images: ImageParams,
    params: TrainParams,
    task: Task,
    checkpoints: CheckpointFolder,
    run: str,
    keep: Callable[[int], None] = lambda done: None,
) -> list[Point]:
    """Train on the pictures of the task's training role; return the training curve."""
    subset = task.subset("train")
    dataset = PictureDataset(task.store, subset.rows, subset.labels, training_transform(images), params.seed)
    sampler = make_sampler(subset, params)
    return train(method, dataset, sampler, params, task.runtime, checkpoints, LIVE / run, keep)


def _snapshots(method: Method, name: str, params: MethodParams, folder: Path) -> Callable[[int], None]:
    """Return what keeps a copy of the model in `folder/<steps done>` when its time has come."""

    def keep(done: int) -> None:
        if done in method.snapshot_steps:
            save_model(method, name, params, folder / f"{done:06d}")

    return keep


def make_sampler(subset: Subset, params: TrainParams) -> Sampler:
    """Return the sampler that the training parameters ask for. Raises UserError when it cannot be."""
    try:
        if params.images_per_class is None:
            return ShuffledSampler(len(subset), params.batch_size, params.seed)
        return ClassBalancedSampler(subset.labels, params.batch_size, params.images_per_class, params.seed)
    except ValueError as error:
        raise UserError(f"train: {error}") from None


def save_model(method: Method, name: str, params: MethodParams, folder: Path) -> None:
    """Write a trained model so that `load_model` can read it without anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    method.save(folder)
    write_json(
        folder / DESCRIPTION, {"method": name, "params": params.model_dump(mode="json", by_alias=True)}
    )


def load_model(folder: Path) -> Method:
    """Read a model that `save_model` wrote. Raises UserError when there is none."""
    path = folder / DESCRIPTION
    if not path.exists():
        raise UserError(f"{folder} holds no trained model; name a folder such as models/irt/variants/R")
    description = json.loads(path.read_text(encoding="utf-8"))
    method_class = load_method(description["method"])
    params = parse(method_class.Params, description["params"], str(path))
    return method_class.load(params, folder).eval()


def load_variants(name: str, params: MethodParams, folder: Path) -> Mapping[str, Any]:
    """Read every variant of a method, in the order its parameters name them."""
    return {variant: load_model(folder / variant) for variant in load_method(name).variants(params)}


def clear_states(name: str, root: Path) -> None:
    """Forget the mid-training states of a method whose outputs are complete."""
    for folder in root.glob(f"{name}-*"):
        shutil.rmtree(folder, ignore_errors=True)
