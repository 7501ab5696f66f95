"""Training every variant that a method's block asks for, and every arm; saving models and reading them again.

An arm is a variant with other values than its method's block, or from another backbone, judged beside the others.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fieldmark.base.blocks import Block, parse, pick
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, read_json, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.method import Method, MethodParams, Variant
from fieldmark.contract.registry import load_method
from fieldmark.engine.loop import pick_precision
from fieldmark.engine.monitor import Point
from fieldmark.engine.params import Precision
from fieldmark.engine.task import Task
from fieldmark.engine.training import train_on
from fieldmark.engine.wiring import ArmWiring
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.distributed import first_process

DESCRIPTION = "model.json"
SNAPSHOTS = "snapshots"  # the folder of a model's earlier states, below the folder of the model
ARMS = "arms"  # the section, and the folder of what is made of it
FIXED = ("variants", "seeds")  # of an arm they are those of its method
AnyMethod = Method[Any, Any]
AnyVariant = Variant[Any, Any]


def train_variants(name: str, params: MethodParams, task: Task, folder: Path) -> dict[str, list[Point]]:
    """Train each variant of method `name` from each seed; return the training curves by `<variant>/<seed>`.

    The models are saved to folders of these names below `folder`. A model that an earlier, killed call completed is
    taken from its last state, not trained again.
    """
    curves: dict[str, list[Point]] = {}
    for variant in load_method(name).variants(params):
        by_seed = train_variant(name, variant, task, folder / variant.name, f"{name}/{variant.name}")
        curves |= {f"{variant.name}/{seed}": curve for seed, curve in by_seed.items()}
    return curves


def train_variant(
    name: str, variant: AnyVariant, task: Task, folder: Path, run: str
) -> dict[str, list[Point]]:
    """Train a variant of method `name` from each seed; return the training curves by seed.

    The models are saved to `folder/<seed>`, and `run/<seed>` names each training.
    """
    curves = {}
    for own in variant.by_seed():
        seed = str(own.params.seed)
        if curve := _train_model(load_method(name), own, task, folder / seed, f"{run}/{seed}"):
            curves[seed] = curve
    return curves


def _train_model(
    method_class: type[AnyMethod], variant: AnyVariant, task: Task, folder: Path, run: str
) -> list[Point]:
    """Build, train, finish and save one model; return its curve, which is empty where nothing is trained."""
    narrowed = method_class.training_task(variant, task)
    params = variant.params.for_pictures(len(narrowed.subset("train")))
    variant = replace(variant, params=params)
    torch.manual_seed(params.seed)
    method = method_class.build(variant, narrowed)
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
            with method.whole():
                if first_process():
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


class Arm(NamedTuple):
    """An item of `arms:`, and the variant with the values that it has there."""

    wiring: ArmWiring
    variant: AnyVariant


def read_arm(configuration: Configuration, name: str) -> Arm:
    """Return an item of `arms:`. Raises UserError for an unknown method, variant or parameter."""
    wiring = configuration.item(ARMS, name, ArmWiring)
    method_class = load_method(wiring.method)
    for key in FIXED:
        if key in wiring.change:
            raise UserError(f"arms.{name}.change.{key}: an arm has the {key} of its method, leave it out")
    block = pick(dict(configuration.content), wiring.method, "params.yaml")
    params = method_class.Params.read(_merged(block, wiring.change), f"arms.{name}.change")
    if wiring.variant not in {variant.name for variant in method_class.variants(params)}:
        # The ordinary run need not train the variant that an arm changes.
        alone = {**wiring.change, "variants": [wiring.variant]}
        try:
            params = method_class.Params.read(_merged(block, alone), wiring.method)
        except UserError as error:
            raise UserError(f"arms.{name}.variant is '{wiring.variant}': {error}") from None
    return Arm(wiring, method_class.named(params, wiring.variant))


def load_arms(configuration: Configuration, method: str, folder: Path) -> dict[str, list[AnyMethod]]:
    """Read the models of every arm of a method by name, in the order of params.yaml: one per seed, or one alone.

    They lie in `folder/<arm>/<seed>`. Their variants are called as the arms.
    """
    loaded = {}
    for name in arms_of(configuration, method):
        arm = read_arm(configuration, name)
        models = [load_model(folder / name / str(own.params.seed)) for own in arm.variant.by_seed()]
        usual = configuration.raw_item("methods", method)["backbone"]
        start = arm.wiring.backbone if arm.wiring.backbone != usual else ""
        title = arm.wiring.title or _title(arm, start)
        for model in models:
            model.variant = replace(model.variant, name=name, title=title, start=start)
        loaded[name] = models
    return loaded


def arms_of(configuration: Configuration, method: str) -> list[str]:
    """Return the names of the arms of a method, in the order of params.yaml."""
    items = configuration.section(ARMS)
    return [name for name in items if configuration.item(ARMS, name, ArmWiring).method == method]


def _title(arm: Arm, start: str) -> str:
    """Say what the variant is and what the arm changes."""
    changes = [f"from {start}"] if start else []
    changes += [f"{path} {'none' if value is None else value}" for path, value in _flat(arm.wiring.change)]
    return "; ".join([arm.variant.title, *changes])


def _flat(block: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) of every value at any depth."""
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _merged(block: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `block` with the values of `change`; where both have a mapping, only the keys that `change` has."""
    merged = dict(block)
    for key, value in change.items():
        inner = merged.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(inner, value)
        else:
            merged[key] = value
    return merged


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
