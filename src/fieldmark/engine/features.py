"""Features of a frozen backbone, computed once for all the trainings of a stage."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

import torch

from fieldmark.base.errors import UserError
from fieldmark.base.files import FULL
from fieldmark.base.progress import progress
from fieldmark.datasets.data.batches.augmenting import augmented
from fieldmark.datasets.data.batches.features import FeatureStore, Layout
from fieldmark.datasets.data.batches.loading import loader
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.datasets.data.batches.views import EveryView, ViewDataset
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.loop import make_fabric, pick_precision
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.runtime.inference import INFERENCE_BATCH
from fieldmark.runtime.workers import loader_workers
from fieldmark.vision.backbones import Backbone, digest

if TYPE_CHECKING:
    from lightning_fabric import Fabric

FOLDER = "features"  # of the stores, beside the states of the stage's runs
MAX_PARTS = 512  # of a store: each is mapped into memory by itself
ANNOUNCED = 1e9  # bytes from which on the store is announced


def kept_features(
    source: Backbone, pictures: ViewDataset, images: ImageParams, params: TrainParams, task: Task, run: str
) -> FeatureStore:
    """Return the features of every view of `pictures`, from an earlier training of the stage where one made them.

    Trainings of other variants, seeds and learning rates share them. Raises UserError when the disk is full.
    """
    fabric, stage = make_fabric(params, task.runtime), run.partition("/")[0]
    source.to(fabric.device).eval()
    store = _store_of(source, pictures, images, params, task.states, fabric, stage)
    store.folder.mkdir(parents=True, exist_ok=True)
    if fabric.is_global_zero:
        _tidy(store)
    fabric.barrier()
    _require_room(store, pictures, stage, fabric)
    fabric.barrier()  # nobody writes before all have seen how much room there is
    with _room_named(store, pictures.views):
        _fill(
            store, source, EveryView.of(pictures), fabric, loader_workers(task.runtime), f"{stage} features"
        )
    fabric.barrier()
    if store.missing():
        raise UserError(
            f"views {pictures.views}: the processes do not share the folder {store.folder.parent}"
        )
    return store


def _store_of(
    source: Backbone,
    pictures: ViewDataset,
    images: ImageParams,
    params: TrainParams,
    states: StateKey,
    fabric: "Fabric",
    stage: str,
) -> FeatureStore:
    """Open the store for what `source`, in eval mode, gives in the precision of training.

    With bf16 a number is rounded to bfloat16, as Fabric rounds all that a network is given; with fp32 nothing is
    rounded. The key has pictures, files and code of the stage, and of its parameters what the features depend on.
    """
    precision = pick_precision(params, fabric.device.type)
    rows = pictures.rows.tolist()
    depends = [images.model_dump(mode="json"), pictures.views, rows, digest(source), precision]
    folder = states.without_params().folder(f"{stage}/{FOLDER}", depends).folder
    total = len(pictures) * pictures.views
    part_rows = INFERENCE_BATCH * ceil(total / (INFERENCE_BATCH * MAX_PARTS))
    layout = _layout(source, images.side, fabric, half=precision == "bf16")
    return FeatureStore(folder, layout, total, part_rows)


@torch.inference_mode()
def _layout(source: Backbone, side: int, fabric: "Fabric", half: bool) -> Layout:
    """Measure the layout on a blank picture."""
    blank = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=fabric.device)
    with fabric.autocast():
        return Layout.of(source(blank), half)


def _tidy(store: FeatureStore) -> None:
    """Delete what killed processes were writing and, where the disk lacks room, the stage's other stores."""
    for rest in store.folder.glob(".*.part*"):
        rest.unlink()
    if _needed(store) > _free(store):
        for other in store.folder.parent.glob("*"):
            if other != store.folder:
                shutil.rmtree(other)


def _needed(store: FeatureStore) -> int:
    """Return the bytes of what is still to be written."""
    return sum(part.last - part.first for part in store.missing()) * store.layout.row_bytes


def _free(store: FeatureStore) -> int:
    """Return the free bytes of the disk."""
    return shutil.disk_usage(store.folder).free


def _require_room(store: FeatureStore, pictures: ViewDataset, stage: str, fabric: "Fabric") -> None:
    """Say how much room a large store takes. Raises UserError when the disk does not have it."""
    needed, free = _needed(store), _free(store)
    if needed >= ANNOUNCED and fabric.is_global_zero:
        print(
            f"{stage}: features of {pictures.views} views of {len(pictures):,} pictures take "
            f"{needed / 1e9:.1f} GB in {store.folder.parent} until training is done",
            file=sys.stderr,
        )
    if needed > free:
        raise UserError(
            f"views {pictures.views}: the features take {needed / 1e9:.3g} GB in {store.folder.parent}, where "
            f"{free / 1e9:.3g} GB are free; lower views, or set it to null"
        )


@contextmanager
def _room_named(store: FeatureStore, views: int) -> Iterator[None]:
    """Turn the error of a disk that others have filled meanwhile into a UserError."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"views {views}: the disk of {store.folder.parent} is full; make room, lower views, or set it to null"
        ) from None


@torch.inference_mode()
def _fill(
    store: FeatureStore, source: Backbone, pictures: EveryView, fabric: "Fabric", workers: int, desc: str
) -> None:
    """Write this process's share of the parts that are missing.

    The batches are the same however often filling is interrupted: a number may depend, in its last bit, on its batch.
    """
    mine = store.parts[fabric.global_rank :: fabric.world_size]
    missing = set(store.missing())
    wanted = [(part, part.slices(INFERENCE_BATCH)) for part in mine if part in missing]
    if not wanted:
        return
    batches = loader(pictures, [each for _, slices in wanted for each in slices], workers)
    total, left = (sum(part.last - part.first for part in parts) for parts in (mine, [p for p, _ in wanted]))
    with progress(total=total, initial=total - left, desc=desc, unit="view") as bar:
        for part, slices in wanted:
            with store.writing(part) as write:
                for _ in slices:
                    images = augmented(fabric.to_device(next(batches)))["images"]
                    with fabric.autocast():
                        write(source(images))
                    bar.update(len(images))
