"""Features are computed once for a stage: the right ones, resumably, and never those of something else."""

import dataclasses
import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny import SIDE, make_task, tiny_resnet, tiny_vit
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.features import FeatureStore
from fieldmark.datasets.data.batches.loading import Slice
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform
from fieldmark.datasets.data.batches.views import EveryView, ViewDataset
from fieldmark.engine import features
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.features import kept_features
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.engine.training import clear_states
from fieldmark.vision.backbones import Backbone

VIEWS, BATCH = 3, 8
IMAGES = ImageParams(side=SIDE, jitter=0.2)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "INFERENCE_BATCH", BATCH)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return make_task(tmp_path)


def pictures_of(
    task: Task, images: ImageParams = IMAGES, views: int = VIEWS, skip: int = 0, seed: int = 0
) -> ViewDataset:
    subset = task.subset("train")
    return ViewDataset(
        task.store, subset.rows[skip:], subset.labels[skip:], training_transform(images), seed, views
    )


def recipe(**changes: Any) -> TrainParams:
    return TrainParams.model_validate({"steps": 1, "batch_size": 6, "lr": 0.1, **changes})


def keep(
    task: Task,
    source: Backbone | None = None,
    pictures: ViewDataset | None = None,
    images: ImageParams = IMAGES,
    run: str = "cprfl/CPRFL",
    **train: Any,
) -> FeatureStore:
    chosen = pictures or pictures_of(task, images)
    return kept_features(source or tiny_resnet(), chosen, images, recipe(**train), task, run)


def everything(store: FeatureStore) -> dict[str, Tensor]:
    return store.read(range(store.rows))


@pytest.mark.parametrize("make", [tiny_resnet, tiny_vit])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_features_read_are_features_computed(
    task: Task, monkeypatch: pytest.MonkeyPatch, make: Any, precision: str
) -> None:
    """To the bit in the same batches, but for a ViT in bf16, whose last norm gives float32: it is rounded once."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    half = precision == "bf16"
    store = keep(task, make(), precision=precision)
    every, source = EveryView.of(pictures_of(task)), make().eval()
    for start in range(0, len(every), BATCH):
        rows = tuple(range(start, min(start + BATCH, len(every))))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            computed = source(every[Slice(0, 0, rows)]["images"]).named()
        read = store.read(rows)
        assert read.keys() == computed.keys()
        for name, value in computed.items():
            assert value.dtype == (torch.bfloat16 if half and make is tiny_resnet else torch.float32)
            assert torch.equal(read[name], value.bfloat16() if half else value)
    assert len(every) == store.rows == 18 * VIEWS


class Counted(Backbone):
    """Counts the pictures that it sees, and is killed when it has seen so many."""

    seen: list[int]
    last: float = float("inf")

    @classmethod
    def of(cls, backbone: Backbone, last: float = float("inf")) -> "Counted":
        counted = cls(backbone.trunk, backbone.spec)
        counted.seen, counted.last = [], last
        return counted

    def forward(self, images: Tensor) -> Any:
        if len(images) > 1:  # the layout is measured on one
            self.seen.append(len(images))
        if sum(self.seen) > self.last:
            raise KeyboardInterrupt
        return super().forward(images)


def test_what_is_there_is_not_computed_again(task: Task) -> None:
    first, second = Counted.of(tiny_resnet()), Counted.of(tiny_resnet())
    whole = everything(keep(task, first))
    again = everything(keep(task, second, run="cprfl/BCE", lr=0.5, seed=3, steps=9))
    assert (sum(first.seen), sum(second.seen)) == (18 * VIEWS, 0)
    assert all(torch.equal(again[name], value) for name, value in whole.items())


@pytest.mark.parametrize("seen", [0, BATCH, 30])
def test_a_half_written_store_is_finished_not_read(task: Task, tmp_path: Path, seen: int) -> None:
    killed, rest = Counted.of(tiny_resnet(), last=seen), Counted.of(tiny_resnet())
    cut = dataclasses.replace(task, states=StateKey(tmp_path / "cut"))
    with pytest.raises(KeyboardInterrupt):
        keep(cut, killed)
    resumed = everything(keep(cut, rest))
    assert sum(rest.seen) == 18 * VIEWS - seen // BATCH * BATCH
    assert all(torch.equal(resumed[name], value) for name, value in everything(keep(task)).items())


def test_what_a_killed_process_was_writing_is_deleted(task: Task) -> None:
    store = keep(task)
    part = store.parts[1].path
    left = part.with_name(f".{part.stem}.12345.part.bin")
    part.rename(left)
    assert keep(task).missing() == []
    assert not left.exists()


def others(task: Task, tmp_path: Path) -> dict[str, Any]:
    """Return calls that must not read the features of `keep(task)`, by what they change."""
    jittered, key = IMAGES.model_copy(update={"jitter": 0.3}), task.states
    shifted = tiny_resnet()
    with torch.no_grad():
        next(shifted.parameters())[0, 0, 0, 0] += 1e-3
    (tmp_path / "code.py").write_text("other code")
    coded, repainted = (
        dataclasses.replace(task, states=dataclasses.replace(key, **change))
        for change in ({"files": (tmp_path / "code.py",)}, {"pictures": {"seed": 1}})
    )
    return {
        "images": lambda: keep(task, images=jittered),
        "views": lambda: keep(task, pictures=pictures_of(task, views=2)),
        "rows": lambda: keep(task, pictures=pictures_of(task, skip=1)),
        "weights": lambda: keep(task, shifted),
        "network": lambda: keep(task, tiny_vit()),
        "precision": lambda: keep(task, precision="bf16"),
        "files": lambda: keep(coded),
        "data set": lambda: keep(repainted),
        "stage": lambda: keep(task, run="frpt/CAH"),
    }


@pytest.mark.parametrize(
    "what", ["images", "views", "rows", "weights", "network", "precision", "files", "data set", "stage"]
)
def test_features_of_something_else_are_not_read(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    store = keep(task)
    other = others(task, tmp_path)[what]()
    assert other.folder != store.folder
    assert other.missing() == []
    assert store.missing() == []


def test_the_store_goes_with_the_states_of_its_stage(task: Task) -> None:
    store = keep(task)
    clear_states("frpt", task.states.root)
    assert store.missing() == []
    clear_states("cprfl", task.states.root)
    assert not store.folder.exists()


def test_a_store_has_a_bounded_number_of_parts(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "MAX_PARTS", 3)
    whole = everything(keep(task, run="a/a"))
    monkeypatch.setattr(features, "MAX_PARTS", 2)
    store = keep(task, run="b/b")
    assert [(part.first, part.last) for part in store.parts] == [(0, 32), (32, 54)]
    assert all(torch.equal(value, whole[name]) for name, value in everything(store).items())


def test_workers_do_not_change_features(task: Task) -> None:
    two = dataclasses.replace(task, runtime=task.runtime.model_copy(update={"workers": 2}))
    one = everything(keep(task, run="a/a"))
    assert all(torch.equal(value, one[name]) for name, value in everything(keep(two, run="b/b")).items())


def test_a_disk_without_room_is_told_before_anything_is_computed(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Counted.of(tiny_resnet())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(
        UserError, match=r"^views 3: the features take \S+ GB in .*, where 1e-06 GB are free; .+$"
    ):
        keep(task, source)
    assert source.seen == []
    assert list(task.states.root.rglob("*.bin")) == []


def test_stores_of_other_parameters_make_room(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed runs may have left them; those of other stages stay."""
    left, elsewhere = keep(task), keep(task, run="frpt/CAH")
    room = left.rows * left.layout.row_bytes

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=10 if left.folder.exists() else room)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert keep(task).folder == left.folder
    assert keep(task, images=IMAGES.model_copy(update={"jitter": 0.3})).missing() == []
    assert not left.folder.exists()
    assert elsewhere.missing() == []


def test_a_disk_that_fills_up_is_told(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(features.Layout, "joined", full)
    with pytest.raises(
        UserError, match=r"^views 3: the disk of .* is full; make room, lower views, or .*null$"
    ):
        keep(task)


def test_another_error_of_the_disk_stays_what_it_is(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(features.Layout, "joined", broken)
    with pytest.raises(OSError, match="Input/output error"):
        keep(task)


def test_a_large_store_is_announced_once(
    task: Task, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(task)
    assert "GB" not in capsys.readouterr().err
    shutil.rmtree(task.states.root)
    store = keep(task)
    monkeypatch.setattr(features, "ANNOUNCED", store.rows * store.layout.row_bytes)
    clear_states("cprfl", task.states.root)
    capsys.readouterr()
    keep(task)
    keep(task)
    told = [line for line in capsys.readouterr().err.splitlines() if "GB" in line]
    assert len(told) == 1
    assert told[0].startswith("cprfl: features of 3 views of 18 pictures take 0.0 GB in ")


def test_processes_that_do_not_share_a_folder_are_told(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    class Half:
        """The first of two processes, the second of which writes elsewhere."""

        is_global_zero, global_rank, world_size = True, 0, 2

        def __init__(self, whole: Any) -> None:
            self.device, self.autocast, self.to_device = whole.device, whole.autocast, whole.to_device

        def barrier(self) -> None:
            pass

    make = features.make_fabric
    monkeypatch.setattr(features, "make_fabric", lambda *args: Half(make(*args)))
    with pytest.raises(UserError, match=r"^views 3: the processes do not share the folder .*features$"):
        keep(task)
    [folder] = (task.states.root / "cprfl/features").iterdir()
    starts = sorted(int(path.stem) for path in folder.iterdir())
    assert starts == np.arange(0, 18 * VIEWS, 2 * BATCH).tolist()


def test_features_take_part_in_training(task: Task) -> None:
    """What inference mode makes could not; and the backbone is as trainable as before."""
    source = tiny_resnet()
    store = keep(task, source)
    head = torch.nn.Linear(16, 1)
    head(store.read([0, 1])["feature_map"].mean((2, 3))).sum().backward()
    assert head.weight.grad is not None
    source(torch.zeros(1, 3, SIDE, SIDE)).feature_map.sum().backward()
    assert not any(parameter.is_inference() for parameter in source.parameters())
