"""Small twins of the landmark data sets in their official layouts: one colour a building."""

import pickle
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fieldmark.datasets.acquire import revisited
from fieldmark.datasets.acquire.source import load_source
from fieldmark.datasets.data.batches.boxed import QueryStore
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.preparing.prepare import prepare
from fieldmark.datasets.sources import sfm120k
from fieldmark.datasets.splitting.landmarks import make_landmarks
from fieldmark.datasets.splitting.splits import make_split
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.task import Task
from fieldmark.runtime.params import RuntimeParams
from fieldmark.vision.backbones import save_backbone
from support.pictures import Pixels, dataset, encoded
from support.serving import serving
from support.sources import fetched
from support.tiny import tiny_vit

HEIGHT, WIDTH = 48, 64
BOX = (12.0, 6.0, 44.0, 38.0)  # of every query: left, top, right, bottom


def building(place: int, seed: int, *, alone: bool = False) -> Pixels:
    """A building in its colour; around the box of a query there is another colour, unless the building is alone."""
    rng = np.random.default_rng((place, seed))
    colours = (
        np.random.default_rng(place).integers(40, 215, 3),
        np.random.default_rng(99).integers(40, 215, 3),
    )
    pixels = np.empty((HEIGHT, WIDTH, 3))
    pixels[:] = colours[0] if alone else colours[1]
    left, top, right, bottom = map(int, BOX)
    pixels[top:bottom, left:right] = colours[0]
    noisy: Pixels = (pixels + rng.normal(0, 12, pixels.shape)).clip(0, 255).astype(np.uint8)
    return noisy


def write_revisited(
    folder: Path, name: str, places: int = 3, per_place: int = 4, *, inner: str = "", protocol: int = 2
) -> dict[str, Any]:
    """Write a benchmark: a query per building; of its photographs one is hard, one is junk, the others are easy.

    The last query has no hard one. Photographs lie in jpg, in the folder `inner` of it. Returns the ground truth.
    """
    names = [f"{name}_{place:02d}_{number:06d}" for place in range(places) for number in range(per_place)]
    queries = [f"{name}_query_{place:06d}" for place in range(places)]
    entries = []
    for place in range(places):
        own = np.arange(per_place) + place * per_place
        hard = own[:1] if place < places - 1 else np.array([])
        easy = own[2:] if len(hard) else np.concatenate([own[:1], own[2:]])
        entries.append({"bbx": list(BOX), "easy": easy, "hard": hard, "junk": own[1:2]})
    truth = {"gnd": entries, "imlist": names, "qimlist": queries}
    pictures = folder / "jpg" / inner
    pictures.mkdir(parents=True)
    for index, key in enumerate(names):
        shown = building(index // per_place, index, alone=True)
        (pictures / f"{key}.jpg").write_bytes(encoded(shown, "JPEG", quality=95))
    for place, key in enumerate(queries):
        (pictures / f"{key}.jpg").write_bytes(encoded(building(place, 100), "JPEG", quality=95))
    (folder / f"gnd_{name}.pkl").write_bytes(pickle.dumps(truth, protocol=protocol))
    return truth


def write_sfm(folder: Path, models: int = 6, validation: int = 2, per_model: int = 4) -> dict[str, Any]:
    """Write a twin of Retrieval-SfM-120k: every photograph of a model is a query for the next one of it."""
    lists: dict[str, Any] = {}
    first = 0
    for part, count in (("train", models), ("val", validation)):
        total = count * per_model
        lists[part] = {
            "cids": [f"{(first + index) * 7919:032x}" for index in range(total)],
            "cluster": [index // per_model + 5 for index in range(total)],
            "qidxs": list(range(total)),
            "pidxs": [index // per_model * per_model + (index + 1) % per_model for index in range(total)],
        }
        for index, key in enumerate(lists[part]["cids"]):
            path = folder / "ims" / key[-2:] / key[-4:-2] / key[-6:-4] / key
            path.parent.mkdir(parents=True, exist_ok=True)
            shown = building(50 + (first + index) // per_model, index, alone=True)
            path.write_bytes(encoded(shown, "JPEG", quality=95))
        first += total
    write_lists(folder, lists)
    return lists


def write_lists(folder: Path, lists: Mapping[str, Any]) -> None:
    (folder / "retrieval-SfM-120k.pkl").write_bytes(pickle.dumps(lists, protocol=2))


ARCHIVES = {"roxford5k": ["oxbuild_images-v1"], "rparis6k": ["paris_1-v1", "paris_2-v1"]}


@contextmanager
def official_addresses(site: Path) -> Iterator[None]:
    """Serve the folder `site` in place of the official addresses of all three data sets."""
    with serving(site) as address, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sfm120k, "URL", address)
        patch.setattr(revisited, "TRUTH_URL", address)
        for name, archives in ARCHIVES.items():
            source = load_source(name)
            assert [Path(url).name for url in source.archives] == [f"{key}.tgz" for key in archives]  # type: ignore[attr-defined]
            patch.setattr(source, "archives", {f"{address}/{key}.tgz": None for key in archives})
        yield


def publish_revisited(site: Path, name: str, made: Path) -> None:
    """Move a benchmark to the site: its ground truth, and its photographs over as many archives as it has."""
    (site / name).mkdir(parents=True)
    (made / f"gnd_{name}.pkl").rename(site / name / f"gnd_{name}.pkl")
    pictures = sorted(made.rglob("*.jpg"))
    for part, archive in enumerate(ARCHIVES[name]):
        with tarfile.open(site / f"{archive}.tgz", "w:gz") as tar:
            for path in pictures[part :: len(ARCHIVES[name])]:
                tar.add(path, path.relative_to(made / "jpg"))


def publish_sfm(site: Path, made: Path) -> None:
    """Move a twin of Retrieval-SfM-120k to the site."""
    for folder in ("dbs", "ims"):
        (site / folder).mkdir(parents=True)
    (made / "retrieval-SfM-120k.pkl").rename(site / "dbs/retrieval-SfM-120k.pkl")
    with tarfile.open(site / "ims/ims.tar.gz", "w:gz") as tar:
        for path in sorted((made / "ims").iterdir()):
            tar.add(path, path.name)


def tuples_task(folder: Path, models: int = 6, per_model: int = 4) -> Task:
    """Return the task of a small twin of SfM-120k, from its files on, with a small transformer."""
    write_sfm(folder / "files", models, 2, per_model)
    params = dataset("sfm120k", {"path": str(folder / "files")})
    prepare(fetched(params.open_source(), folder / "raw" / "d"), folder / "out", params)
    manifest = read_manifest(folder / "out" / "manifest.parquet")
    kind = SplitParams(dataset="d", kind="retrieval", by="source", ks=(1, 2))
    return _task(folder, manifest, make_split(manifest, kind), kind, ImageStore.open(folder / "out"))


def benchmark_task(folder: Path, places: int = 3, per_place: int = 4) -> Task:
    """Return the task of a small benchmark, from its files on, with a small transformer."""
    write_revisited(folder / "files", "roxford5k", places, per_place)
    params = dataset("roxford5k", {"path": str(folder / "files")})
    prepare(fetched(params.open_source(), folder / "raw" / "d"), folder / "out", params)
    manifest = read_manifest(folder / "out" / "manifest.parquet")
    kind = SplitParams(dataset="d", kind="landmarks")
    split = make_landmarks(manifest, kind)
    queries = split["id"][split["role"] == "query"].tolist()
    return _task(folder, manifest, split, kind, QueryStore.of(folder / "out", manifest, queries))


def _task(
    folder: Path, manifest: pd.DataFrame, split: pd.DataFrame, kind: SplitParams, store: ImageStore
) -> Task:
    save_backbone(tiny_vit(), folder / "vit")
    return Task(
        store=store,
        manifest=manifest,
        split=split,
        split_params=kind,
        backbone=folder / "vit",
        text=Path("none"),
        history=folder / "history",
        states=StateKey(folder / "states"),
        runtime=RuntimeParams(device="cpu", workers=0, checkpoint_seconds=0.0001),
    )
