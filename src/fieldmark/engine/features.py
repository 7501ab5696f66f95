"""Features of a frozen backbone, computed once for all the trainings of a stage."""

import errno
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

import torch
from lightning_fabric import Fabric

from fieldmark.base.errors import UserError
from fieldmark.base.progress import progress
from fieldmark.datasets.data.batches.features import FeatureStore, Layout
from fieldmark.datasets.data.batches.loading import loader
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.datasets.data.batches.views import EveryView, ViewDataset
from fieldmark.engine.loop import make_fabric, pick_precision
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.runtime.inference import INFERENCE_BATCH
from fieldmark.vision.backbones import Backbone, digest

FOLDER = "features"  # of the stores, beside the states of the stage's runs
MAX_PARTS = 512  # of a store: each is mapped into memory by itself
ANNOUNCED = 1e9  # bytes from which on the store is announced
FULL = (errno.ENOSPC, errno.EDQUOT)


def kept_features(
    source: Backbone, pictures: ViewDataset, images: ImageParams, params: TrainParams, task: Task, run: str
) -> FeatureStore:
    """Return the features of every view of `pictures`, from an earlier training of the stage where one made them.

    They are what `source` gives in eval mode in the precision of training: with bf16 a number is rounded to bfloat16,
    as Fabric rounds all that a network is given; with fp32 nothing is rounded. What the key has is all they depend on,
    so that trainings of other variants, seeds and learning rates share them. Raises UserError when the disk is full.
    """
    fabric = make_fabric(params, task.runtime)
    precision = pick_precision(params, fabric.device.type)
    source.to(fabric.device).eval()
    layout = _layout(source, images.side, fabric, precision == "bf16-mixed")
    depends = [
        images.model_dump(mode="json"),
        pictures.views,
        pictures.rows.tolist(),
        digest(source),
        precision,
    ]
    stage = run.partition("/")[0]
    folder = task.states.without_params().folder(f"{stage}/{FOLDER}", depends).folder
    every = EveryView.of(pictures)
    part_rows = INFERENCE_BATCH * ceil(len(every) / (INFERENCE_BATCH * MAX_PARTS))
    store = FeatureStore(folder, layout, len(every), part_rows)
    if fabric.is_global_zero:
        _tidy(store)
    fabric.barrier()
    _require_room(store, pictures, stage, fabric)
    fabric.barrier()  # nobody writes before all have seen how much room there is
    with _room_named(store, pictures.views):
        _fill(store, source, every, fabric, task.runtime.workers, f"{stage} features")
    fabric.barrier()
    if store.missing():
        raise UserError(f"views {pictures.views}: the processes do not share the folder {folder.parent}")
    return store


@torch.inference_mode()
def _layout(source: Backbone, side: int, fabric: Fabric, half: bool) -> Layout:
    """Measure the layout on a blank picture."""
    blank = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=fabric.device)
    with fabric.autocast():
        return Layout.of(source(blank), half)


def _tidy(store: FeatureStore) -> None:
    """Delete what killed processes were writing, and the stores of the stage with other parameters, data or code."""
    for other in store.folder.parent.glob("*"):
        if other != store.folder:
            shutil.rmtree(other)
    for rest in store.folder.glob(".*.part*"):
        rest.unlink()


def _require_room(store: FeatureStore, pictures: ViewDataset, stage: str, fabric: Fabric) -> None:
    """Say how much room a large store takes. Raises UserError when the disk does not have it."""
    needed = sum(part.last - part.first for part in store.missing()) * store.layout.row_bytes
    if needed >= ANNOUNCED and fabric.is_global_zero:
        print(
            f"{stage}: features of {pictures.views} views of {len(pictures):,} pictures take "
            f"{needed / 1e9:.1f} GB in {store.folder.parent} until training is done",
            file=sys.stderr,
        )
    store.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store.folder).free
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
    store: FeatureStore, source: Backbone, pictures: EveryView, fabric: Fabric, workers: int, desc: str
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
                    images = fabric.to_device(next(batches)["images"])
                    with fabric.autocast():
                        write(source(images))
                    bar.update(len(images))
