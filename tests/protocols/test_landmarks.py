"""The revisited protocol from files to measures: a descriptor of mean colours finds buildings by their colours."""

import dataclasses

import numpy as np
import pytest
import torch
from support.landmarks import BOX, benchmark_task
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.engine.task import Task
from fieldmark.evaluation import revisited_map
from fieldmark.evaluation.landmarks import revisited_precision
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.protocols.landmarks import LEVELS, Ranked, counted, difference, measured, rank
from fieldmark.scoring.backbones import score_backbone

IMAGES = ImageParams(side=32)


class Colours(nn.Module):
    """Describes a picture by its mean colour, with some noise that depends on the seed."""

    def __init__(self, noise: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        self.noise, self.generator = noise, torch.Generator().manual_seed(seed)

    def embed(self, images: Tensor) -> Tensor:
        colours = images.float().mean((2, 3)) - 128
        noisy = colours + self.noise * torch.randn(colours.shape, generator=self.generator)
        return nn.functional.normalize(noisy, dim=1)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return benchmark_task(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="module")
def noisy(task: Task) -> list[Ranked]:
    return rank("x", [Colours(60.0, seed) for seed in (1, 2)], IMAGES, task)


def test_queries_are_found_by_what_is_in_their_boxes(task: Task) -> None:
    """Around the boxes all queries have the same colour, which belongs to no building."""
    [ranked] = rank("colours", [Colours()], IMAGES, task)
    assert {name: values.mean() for name, values in ranked.values.items() if "hard" not in name} == {
        f"{measure}_{level}": 1.0 for measure in ("map", "mp@10") for level in ("easy", "medium")
    }
    whole = dataclasses.replace(task, store=ImageStore.open(task.store.folder))
    [uncut] = rank("colours", [Colours()], IMAGES, whole)
    assert uncut.values["map_medium"].mean() < 1


def test_a_query_is_shown_as_pillow_crops_it(task: Task) -> None:
    from PIL import Image

    queries, gallery = task.subset("query"), task.subset("gallery")
    plain = ImageStore.open(task.store.folder)
    for row in queries.rows.tolist():
        expected = np.asarray(Image.fromarray(plain[row]).crop(BOX))
        assert np.array_equal(task.store[row], expected)
    for row in gallery.rows.tolist():
        assert np.array_equal(task.store[row], plain[row])


def test_measures_are_those_of_revisited_map(task: Task, noisy: list[Ranked]) -> None:
    measures = measured(noisy, 5)
    assert measures.pop("trained_weights") == 5
    assert set(measures) == {f"{measure}_{level}" for measure in ("map", "mp@10") for level in LEVELS}
    for level in LEVELS:
        by_seed = [revisited_map(one.similarity, *dataclasses.astuple(one.relevance), level) for one in noisy]
        found = measures[f"map_{level}"]
        assert found.value == pytest.approx(np.mean(by_seed))
        assert found.seeds == pytest.approx(by_seed)
        assert found.low <= found.value <= found.high
        precision = [
            revisited_precision(one.similarity, *dataclasses.astuple(one.relevance), level) for one in noisy
        ]
        assert measures[f"mp@10_{level}"].value == pytest.approx(np.nanmean(precision))


def test_the_difference_is_over_queries_with_positives(task: Task, noisy: list[Ranked]) -> None:
    perfect = rank("colours", [Colours(), Colours()], IMAGES, task)
    found = difference({"a": perfect, "b": noisy}, "a", "b", "map_hard")
    expected = [
        np.nanmean(one.values["map_hard"] - two.values["map_hard"])
        for one, two in zip(perfect, noisy, strict=True)
    ]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.value > 0


def test_counts_say_which_queries_each_level_has(noisy: list[Ranked]) -> None:
    assert counted(noisy[0]) == {
        "queries": 3,
        "database": 12,
        "queries easy": 3,
        "queries medium": 3,
        "queries hard": 2,  # the last one has no hard photograph
    }


def test_positives_and_ignored_are_the_levels(noisy: list[Ranked]) -> None:
    one = noisy[0]
    for level, positive, ignored in (
        ("easy", one.relevance.easy, (one.relevance.hard, one.relevance.junk)),
        ("hard", one.relevance.hard, (one.relevance.easy, one.relevance.junk)),
    ):
        for query in range(3):
            masks = one.kinds(level, query)
            assert np.flatnonzero(masks[0]).tolist() == sorted(positive[query])
            assert np.flatnonzero(masks[1]).tolist() == sorted([*ignored[0][query], *ignored[1][query]])


def test_nan_is_one_line_that_names_the_variant(task: Task) -> None:
    with pytest.raises(UserError, match="variant bad cannot be scored"):
        rank("bad", [Colours(float("nan"))], IMAGES, task)


def test_a_backbone_is_scored_by_the_protocol(task: Task) -> None:
    params = BackboneParams(
        arch="vit_tiny_patch16_224",
        dataset="d",
        split="s",
        images=IMAGES,
        pooling="average",
        weights="library",
    )
    backbone = task.load_backbone()
    measures = score_backbone(backbone, None, params, task)
    assert set(measures) == {"map_medium", "map_hard"}

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone

        def embed(self, images: Tensor) -> Tensor:
            return nn.functional.normalize(self.backbone(images).feature_map.mean((2, 3)), dim=1)

    expected = measured(rank("x", [Pooled()], IMAGES, task), 0)
    for name, found in measures.items():
        assert found.value == pytest.approx(expected[name].value)
