"""Training every variant that a method's block asks for; saving trained models and reading them again."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fieldmark.base.blocks import Block, parse
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, read_json, write_json
from fieldmark.contract.method import Method, MethodParams, Variant
from fieldmark.contract.registry import load_method
from fieldmark.engine.loop import pick_precision
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import Precision
from fieldmark.engine.task import Task
from fieldmark.engine.training import train_on
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.distributed import first_process

DESCRIPTION = "model.json"
SNAPSHOTS = "snapshots"  # the folder of a model's earlier states, below the folder of the model
AnyMethod = Method[Any, Any]
AnyVariant = Variant[Any, Any]


def train_variants(name: str, params: MethodParams, task: Task, folder: Path) -> dict[str, list[Point]]:
    """Train each variant of method `name` from each seed; return the training curves by `<variant>/<seed>`.

    The models are saved to folders of these names below `folder`. A model that an earlier, killed call completed is
    taken from its last state, not trained again.
    """
    method_class = load_method(name)
    curves = {}
    for variant in method_class.variants(params):
        for own in variant.by_seed():
            place = f"{own.name}/{own.params.seed}"
            if curve := _train_variant(method_class, own, task, folder / place):
                curves[place] = curve
    return curves


def _train_variant(
    method_class: type[AnyMethod], variant: AnyVariant, task: Task, folder: Path
) -> list[Point]:
    """Build, train, finish and save one model; return its curve, which is empty where nothing is trained."""
    narrowed = method_class.training_task(variant, task)
    params = variant.params.for_pictures(len(narrowed.subset("train")))
    variant = replace(variant, params=params)
    torch.manual_seed(params.seed)
    method = method_class.build(variant, narrowed)
    run = f"{method_class.name}/{variant.name}/{params.seed}"
    earlier = narrowed.checkpoints(run).folder / SNAPSHOTS
    curve = []
    if variant.trained:
        method.precision = pick_precision(params.train, pick_device(task.runtime))
        curve = train_method(method, narrowed, run, keep=_snapshots(method, earlier))
    method.finish(narrowed)
    save_model(method, folder)
    if earlier.exists():
        shutil.copytree(earlier, folder / SNAPSHOTS)
    return curve


def train_method(
    method: AnyMethod, task: Task, run: str, keep: Callable[[int], None] = lambda done: None
) -> list[Point]:
    """Train a method as its block says; return its curve. What cannot train on features sees fresh pictures."""
    params = method.params
    views = params.kept_views if method.feature_source() is not None else None
    return train_on(method, method.loaded, params.seeded, task, run, keep, views)


def _snapshots(method: AnyMethod, folder: Path) -> Callable[[int], None]:
    """Return a function that saves a copy of the model to `folder/<steps done>` at the steps the method names."""

    def keep(done: int) -> None:
        if done in method.snapshot_steps:
            save_model(method, folder / f"{done:06d}")

    return keep


class SavedModel(Block):
    """What `model.json` says of a trained model; `description` is the method's own."""

    method: str
    variant: str
    params: dict[str, Any]
    precision: Precision | None
    description: dict[str, Any]


def save_model(method: AnyMethod, folder: Path) -> None:
    """Write a trained model so that `load_model` can read it without anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    method.save(folder)
    content = {
        "method": method.name,
        "variant": method.variant.name,
        "params": method.params.model_dump(mode="json", by_alias=True),
        "precision": method.precision,
        "description": method.description(),
    }
    write_json(folder / DESCRIPTION, content, exact=True)


def load_model(folder: Path) -> AnyMethod:
    """Read a model that `save_model` wrote, or the only one in the folder of a variant.

    Raises UserError when there is none, when there are models of several seeds to choose from, and when a file of
    the model is absent or damaged.
    """
    path = _only_model(folder) / DESCRIPTION
    saved = parse(SavedModel, read_json(path), str(path))
    method_class = load_method(saved.method)
    params = method_class.Params.read(saved.params, str(path))
    variant = method_class.named(params, saved.variant)
    try:
        method: AnyMethod = method_class.load(variant, saved.description, path.parent)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        detail = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
        raise UserError(
            f"the files in {path.parent} do not make a model ({detail}); get the folder again, or train again"
        ) from error
    method.precision = saved.precision
    method.earlier = sorted((path.parent / SNAPSHOTS).glob("*"))
    return method.eval()


def load_variants(name: str, params: MethodParams, folder: Path) -> dict[str, list[AnyMethod]]:
    """Read the models of every variant of a method, in the order of its parameters: one per seed, or one alone."""
    return {
        variant.name: [load_model(folder / own.name / str(own.params.seed)) for own in variant.by_seed()]
        for variant in load_method(name).variants(params)
    }


def load_students(folder: Path) -> dict[str, list[AnyMethod]]:
    """Read the models of every student below `folder` by name, by rising seed; none where there is no such folder."""
    models = {path.name: [load_model(one) for one in seed_folders(path)] for path in sorted(folder.glob("*"))}
    return {name: found for name, found in models.items() if found}


def seed_folders(folder: Path) -> list[Path]:
    """Return the folders of a variant's models, each called as its seed, by rising seed."""
    found = [path.parent for path in folder.glob(f"*/{DESCRIPTION}") if path.parent.name.isdigit()]
    return sorted(found, key=lambda path: int(path.name))


def _only_model(folder: Path) -> Path:
    """Return the folder itself where it holds a model, else that of its only seed."""
    if (folder / DESCRIPTION).exists():
        return folder
    found = seed_folders(folder)
    if not found:
        raise UserError(f"{folder} holds no trained model; name a folder such as models/irt/variants/R/0")
    if len(found) > 1:
        seeds = ", ".join(path.name for path in found)
        raise UserError(f"{folder} holds the models of seeds {seeds}; name one, such as {found[0]}")
    return found[0]


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write to: for the first process it becomes `path`, for the others it is deleted."""
    if first_process():
        with atomic_folder(path) as folder:
            yield folder
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
