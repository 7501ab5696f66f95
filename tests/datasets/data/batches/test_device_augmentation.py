"""Augmenting a batch on the device gives the pictures that augmenting one by one in the loader's workers gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.pipeline import ROOT
from torch import Tensor
from torchvision.transforms.v2 import functional

from fieldmark.base.blocks import read_yaml
from fieldmark.datasets.data.batches.augmenting import augmented, covered, recoloured, resampled
from fieldmark.datasets.data.batches.drawing import DeferredTransform, taps_of
from fieldmark.datasets.data.batches.loading import (
    Batch,
    PictureDataset,
    Slice,
    TrainingSlices,
    loader,
    sequential_slices,
)
from fieldmark.datasets.data.batches.samplers import ShuffledSampler
from fieldmark.datasets.data.batches.transforms import ImageParams, to_tensor, training_transform
from fieldmark.datasets.data.batches.views import ViewDataset
from fieldmark.datasets.data.packed.store import ImageStore, StoreWriter

METHODS = ("irt", "frpt", "cprfl", "pma", "loca")
# Where torchvision resizes 8 bits by these, results are equal to the bit; elsewhere it resizes in float.
EQUAL = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
WHOLE = {"crop": "centre", "flip": False}
OTHERS: tuple[dict[str, Any], ...] = (
    {"jitter": 1.0},
    {"crop": "random", "resize": 40, "jitter": 0.5, "erase": 1.0, "cutout": 0.5},
    {"crop": "centre", "resize": 37, "shape": "shorter_side", "erase": 0.5},
    {"scale": (0.001, 0.01), "cutout": 1.0},
)


def recipes() -> Iterator[ImageParams]:
    """Yield how pictures are augmented in params.yaml and in the presets, at a quarter of the side; and other ways."""
    blocks = []
    for file in (ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))):
        content = read_yaml(file)
        blocks += [dict(content[name]) for name in METHODS if name in content]
        blocks += [dict(item) for item in dict(content.get("distill") or {}).values()]
    asked = {ImageParams.read(block["images"], "images") for block in blocks if "images" in block}
    yield from sorted({_quarter(one) for one in asked if not one.augment}, key=str)
    yield from (ImageParams(side=32, **other) for other in OTHERS)


def _quarter(params: ImageParams) -> ImageParams:
    resize = params.resize and params.resize // 4
    return params.model_copy(update={"side": params.side // 4, "resize": resize})


def store_of(folder: Path, side: int, count: int = 3) -> ImageStore:
    """Write squares of blotches with noise."""
    rng = np.random.default_rng(side)
    folder.mkdir()
    with StoreWriter(folder, "raw") as writer:
        for _ in range(count):
            coarse = torch.from_numpy(rng.uniform(-60, 320, (3, 5, 5)))
            smooth = functional.resize(coarse, [side, side]).permute(1, 2, 0).numpy()
            writer.add((smooth + rng.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8))
    return ImageStore.open(folder)


def data_of(store: ImageStore, params: ImageParams, seed: int = 3) -> tuple[PictureDataset, PictureDataset]:
    """Return a data set whose pictures are augmented by workers, and the same one for the device."""
    rows = np.arange(len(store))
    workers, device = (
        PictureDataset(store, rows, rows * 2, transform, seed)
        for transform in (training_transform(params), DeferredTransform(params))
    )
    return workers, device


def assert_alike(seen: Batch, expected: Batch) -> None:
    """The pictures are equal within one grey level, all else exactly."""
    assert list(seen) == list(expected)
    assert all(torch.equal(seen[name], value) for name, value in expected.items() if name != "images")
    assert_close(seen["images"], expected["images"])
    assert seen["images"].stride() == expected["images"].stride()


def assert_close(seen: Tensor, expected: Tensor) -> None:
    assert (seen.dtype, seen.shape) == (torch.uint8, expected.shape)
    assert int((seen.int() - expected.int()).abs().max()) <= (0 if EQUAL else 1)


@pytest.mark.parametrize("params", recipes(), ids=str)
def test_batches_equal_those_of_the_workers(tmp_path: Path, params: ImageParams) -> None:
    side = max(params.resize or 0, params.side)
    for stored in (side, side * 2 // 3, side + 45):
        workers, device = data_of(store_of(tmp_path / str(stored), stored), params)
        for step in range(2):
            part = Slice(step, 5, (2, 0, 1, 1))
            assert_alike(augmented(device[part]), workers[part])


@pytest.mark.parametrize("params", recipes(), ids=str)
def test_as_much_is_drawn_from_the_generator(params: ImageParams) -> None:
    pixels = np.zeros((70, 70, 3), np.uint8)
    transform, deferred = training_transform(params), DeferredTransform(params)
    for seed in range(20):
        torch.manual_seed(seed)
        transform(to_tensor(pixels))
        expected = torch.get_rng_state()
        torch.manual_seed(seed)
        deferred(pixels)
        assert torch.equal(torch.get_rng_state(), expected)


def boxes(rng: np.random.Generator, side: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield top, left, height and width of boxes: a pixel, a row, a column, the whole picture, and others."""
    yield from ((side - 1, 0, 1, 1), (0, 0, 1, side), (0, side - 1, side, 1), (0, 0, side, side))
    for _ in range(20):
        height, width = rng.integers(1, side + 1, 2)
        top, left = rng.integers(0, side + 1 - np.array((height, width)))
        yield int(top), int(left), int(height), int(width)


@pytest.mark.parametrize(
    ("stored", "side"), [(1, 16), (2, 16), (48, 16), (48, 31), (48, 48), (48, 150), (300, 16)]
)
@pytest.mark.parametrize("flipped", [False, True])
def test_crops_are_resized_as_by_torchvision(stored: int, side: int, flipped: bool) -> None:
    rng = np.random.default_rng(stored + side)
    chosen = list(boxes(rng, stored))
    pictures = torch.from_numpy(rng.integers(0, 256, (len(chosen), stored, stored, 3), np.uint8))
    spans = np.array([((top, height, 0), (left, width, 0)) for top, left, height, width in chosen])
    taps, weights = (torch.from_numpy(values) for values in taps_of(spans, side, side))
    if flipped:
        taps[:, 1], weights[:, 1] = taps[:, 1].flip(-1), weights[:, 1].flip(-2)
    out = resampled(pictures, taps, weights.float())
    for picture, box, seen in zip(pictures, chosen, out, strict=True):
        expected = functional.resized_crop(picture.permute(2, 0, 1), *box, [side, side], antialias=True)
        assert_close(seen, expected.flip(-1) if flipped else expected)


def test_weights_of_a_pixel_sum_to_one_within_their_rounding() -> None:
    taps, weights = taps_of(np.array([[3, 50, 0], [0, 7, 2]]), 20, 18)
    assert np.abs(weights.sum(-1) - 1).max() < 1e-3
    assert (weights * 2**22 == np.round(weights * 2**22)).all()
    assert taps[1, 0] == int(0.35 * 2.5 - 1 + 0.5)  # the third of twenty pixels of seven
    assert (taps[0] >= 3).all()


@pytest.mark.parametrize("factor", [0.0, 0.31, 1.0, 1.7])
def test_colours_change_as_by_torchvision(factor: float) -> None:
    images = torch.randint(0, 256, (3, 3, 41, 41), dtype=torch.uint8)
    changed = recoloured(images, torch.arange(3), torch.full((3,), factor))
    changes = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
    exact = float(torch.tensor(factor))
    for seen, image, change in zip(changed, images, changes, strict=True):
        assert_close(seen, change(image, exact))


def test_a_patch_covers_what_is_inside_the_picture_and_none_covers_nothing() -> None:
    images = torch.zeros(2, 3, 6, 5, dtype=torch.uint8)
    patch = torch.tensor([[4, 1, 10, 2], [0, 0, 0, 0]])
    colour = torch.tensor([[7, 8, 9], [1, 1, 1]], dtype=torch.uint8)
    out = covered(images, patch, colour)
    expected = images.clone()
    expected[0, :, 4:, 1:3] = torch.tensor([7, 8, 9], dtype=torch.uint8)[:, None, None]
    assert torch.equal(out, expected)
    assert not images.any()


def test_random_operations_are_refused() -> None:
    with pytest.raises(ValueError, match="random operations"):
        DeferredTransform(ImageParams(side=32, augment=1))


def test_other_batches_are_left_alone() -> None:
    batch = {"images": torch.zeros(1), "labels": torch.zeros(1)}
    assert augmented(batch) is batch


def test_lower_precision_of_training_is_not_used_and_comes_back(tmp_path: Path) -> None:
    workers, device = data_of(store_of(tmp_path / "a", 60), ImageParams(side=48))
    part, before = Slice(0, 0, (0, 1, 2)), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert_alike(augmented(device[part]), workers[part])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_workers_processes_and_a_later_start_change_nothing(tmp_path: Path) -> None:
    params = ImageParams(side=32, jitter=0.3, erase=0.5)
    _, device = data_of(store_of(tmp_path / "a", 40, 12), params)
    sampler = ShuffledSampler(12, 6, 0)
    whole = [augmented(batch) for batch in loader(device, TrainingSlices(sampler, 0, 4), 0)]
    later = [augmented(batch) for batch in loader(device, TrainingSlices(sampler, 2, 4), 2)]
    ranks = [loader(device, TrainingSlices(sampler, 2, 4, rank, 2), 0) for rank in range(2)]
    for one, again, halves in zip(whole[2:], later, zip(*ranks, strict=True), strict=True):
        parts = [augmented(half) for half in halves]
        for name, value in one.items():
            assert torch.equal(again[name], value)
            assert torch.equal(torch.cat([part[name] for part in parts]), value)


def test_views_are_those_of_the_workers(tmp_path: Path) -> None:
    store, rows, params = store_of(tmp_path / "a", 40), np.arange(3), ImageParams(side=32, jitter=0.3)
    workers, device = (
        ViewDataset(store, rows, rows, transform, 1, 4)
        for transform in (training_transform(params), DeferredTransform(params))
    )
    for part in sequential_slices(3, 2):
        assert_alike(augmented(device[part]), workers[part])


def test_pictures_are_handed_over_as_they_are_stored(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a", 40)
    _, device = data_of(store, ImageParams(side=32))
    stored = device[Slice(0, 0, (2, 1))]["stored"]
    assert torch.equal(stored.permute(0, 3, 1, 2), torch.stack([to_tensor(store[2]), to_tensor(store[1])]))
