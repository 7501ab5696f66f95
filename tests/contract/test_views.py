"""With `views` what leaves the backbone frozen trains on features computed once; all else trains as without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.everything import IN_VIEWS, TRAINED, VIEWED, VIEWS, Everything
from support.trainings import Training, evenly_spaced
from torch import nn

from fieldmark.datasets.data.batches.features import FeatureDataset
from fieldmark.datasets.data.batches.loading import IndexDataset, PictureDataset
from fieldmark.datasets.data.batches.views import ViewDataset
from fieldmark.engine import training as engine
from fieldmark.engine.trainable import Trainable

Make = Callable[[str], Training]
READS = [
    *(f"{name}{IN_VIEWS}" for name in TRAINED if name.startswith(("cprfl/", "pma/")) and name != "pma/text"),
    f"frpt/CAH{IN_VIEWS}",
    f"frpt/box{IN_VIEWS}",
    f"distill/student{IN_VIEWS}",
]
AS_WITHOUT = sorted({*VIEWED} - {*READS})


class AskedError(Exception):
    """Training has been asked for a model and the data set that it sees."""


def asked(made: Training, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Trainable, PictureDataset]:
    """Return what a training hands to the loop, which makes no step."""
    seen: list[tuple[Trainable, PictureDataset]] = []

    def loop(model: Trainable, dataset: PictureDataset, *rest: Any) -> None:
        seen.append((model, dataset))
        raise AskedError

    with monkeypatch.context() as patch, pytest.raises(AskedError):
        patch.setattr(engine, "train", loop)
        made.fit(made.within(folder))
    return seen[0]


def test_those_that_change_pictures_or_backbone_read_no_features(training: Make) -> None:
    reading = [name for name in VIEWED if training(name).build().feature_source() is not None]
    assert sorted(reading) == sorted(READS)
    assert {"frpt/FRPT+views", "frpt/finetune+views", "pma/text+views"} <= {*AS_WITHOUT}
    sees = {name for name in READS if training(name).build().sees_pictures}
    assert sees == {f"distill/student{IN_VIEWS}"}


@pytest.mark.parametrize("name", READS)
def test_the_loss_of_features_is_that_of_the_pictures(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In fp32, where the store rounds nothing; the features were computed in other batches, to the last bits."""
    exact = {"train": {"precision": "fp32"}}
    made = Everything(tmp_path / "data").make(name, exact)
    model, dataset = asked(made, tmp_path / "states", monkeypatch)
    assert isinstance(dataset, FeatureDataset)
    assert dataset.views == VIEWS
    part = evenly_spaced(len(dataset))
    carried, pictures = dataset[part], ViewDataset.__getitem__(dataset, part)
    assert ("images" in carried) == model.sees_pictures
    assert "feature_map" not in pictures
    losses, expected = losses_of(model, carried), losses_of(model, pictures)
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value, rtol=1e-4, atol=1e-6)
    carried["feature_map"].add_(1.0)
    assert not torch.allclose(losses_of(model, carried)["loss"], expected["loss"], rtol=1e-4)


def losses_of(model: Trainable, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)  # the same dropout each time
    model.train().before_step(0)
    with torch.no_grad():
        return model(batch)


@pytest.mark.parametrize("name", AS_WITHOUT)
def test_what_cannot_read_features_trains_as_without_views(
    training: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _, dataset = asked(training(name), tmp_path, monkeypatch)
    _, before = asked(training(name.removesuffix(IN_VIEWS)), tmp_path, monkeypatch)
    blind = name.startswith("pma/text")
    assert type(dataset) is type(before) is (IndexDataset if blind else PictureDataset)
    part = evenly_spaced(len(dataset))
    batch, expected = dataset[part], before[part]
    assert ("images" in batch) != blind
    assert batch.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in batch.items())
    assert not list(tmp_path.rglob("*.bin"))


def test_student_and_twin_see_the_same_pictures(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin learns from labels alone, yet from the views that the student is taught in."""
    both = [
        Everything(tmp_path / first).make(f"distill/{first}{IN_VIEWS}", {"students": [first, second]})
        for first, second in (("student", "twin"), ("twin", "student"))
    ]
    (_, students), (_, twins) = (asked(made, tmp_path / made.name, monkeypatch) for made in both)
    assert (type(students), type(twins)) == (FeatureDataset, ViewDataset)
    part = evenly_spaced(len(twins))
    assert torch.equal(students[part]["images"], twins[part]["images"])


@pytest.mark.parametrize(("backbone_lr", "view"), [(0.0, "same"), (0.0, "test"), (0.2, "test")])
def test_a_student_reads_what_it_can(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone_lr: float, view: str
) -> None:
    """A frozen student reads the teacher's features where the backbones are alike; a kept answer needs none."""
    changes = {"backbone_lr": backbone_lr, "view": view, "train": {"precision": "fp32"}}
    made = Everything(tmp_path / "data").make(f"distill/student{IN_VIEWS}", changes)
    model, dataset = asked(made, tmp_path / "states", monkeypatch)
    if backbone_lr:
        assert type(dataset) is PictureDataset
        return
    part = evenly_spaced(len(dataset))
    carried, pictures = dataset[part], ViewDataset.__getitem__(dataset, part)
    assert "images" not in carried
    torch.testing.assert_close(
        losses_of(model, carried)["loss"], losses_of(model, pictures)["loss"], rtol=1e-4, atol=1e-6
    )


def test_a_frozen_student_unlike_its_teacher_sees_pictures(training: Make, tmp_path: Path) -> None:
    made = Everything(tmp_path / "data").make(f"distill/student{IN_VIEWS}", {"backbone_lr": 0.0})
    student: Any = made.build()
    weights = next(student.teacher.model.backbone.parameters())
    nn.init.normal_(weights)
    other = type(student)(student.student, student.params, student.teacher)
    assert (student.sees_pictures, other.sees_pictures) == (False, True)
    assert other.feature_source() is student.teacher.backbone
