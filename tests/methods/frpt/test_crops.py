"""Fixed prompts: the box of activations, the square around a box, and variants that see what is cut out."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import SIDE
from torch.nn.functional import interpolate

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_model, load_variants, save_model, train_variants
from fieldmark.datasets.data.batches.boxed import cut
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.evaluation import evaluate
from fieldmark.methods.frpt.model.crops import activation_boxes, cut_squares, squares, with_boxes
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.results.figures import FigureFolder

Make = Callable[..., FrptParams]
Batch = dict[str, torch.Tensor]


def slow_box(one: np.ndarray) -> list[float]:
    """The box of a map (h, w) by flooding each region from its first place."""
    above, (height, width) = one > one.mean(), one.shape
    seen: set[tuple[int, int]] = set()
    regions: list[list[tuple[int, int]]] = []
    for start in zip(*np.nonzero(above), strict=True):
        if start in seen:
            continue
        waiting, region = [start], []
        while waiting:
            y, x = waiting.pop()
            if (y, x) in seen or not (0 <= y < height and 0 <= x < width) or not above[y, x]:
                continue
            seen.add((y, x))
            region.append((y, x))
            waiting += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        regions.append(region)
    if not regions:
        return [0, 0, 1, 1]
    ys, xs = zip(*max(regions, key=len), strict=True)
    return [min(xs) / width, min(ys) / height, (max(xs) + 1) / width, (max(ys) + 1) / height]


@pytest.mark.parametrize("size", [(7, 7), (4, 9), (1, 1)])
def test_the_box_of_activations_equals_a_slow_reference(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = torch.randn(20, 3, *size)
    expected = [slow_box(one.sum(0).double().numpy()) for one in maps]
    torch.testing.assert_close(activation_boxes(maps), torch.tensor(expected, dtype=torch.float32))


def test_a_map_without_a_peak_keeps_the_whole_picture() -> None:
    assert activation_boxes(torch.ones(1, 2, 4, 4)).tolist() == [[0, 0, 1, 1]]


def test_the_largest_of_two_regions_counts_and_diagonals_connect() -> None:
    one = torch.zeros(1, 1, 8, 8)
    one[0, 0, 0, 0] = 9.0
    one[0, 0, 4, 4] = one[0, 0, 5, 5] = one[0, 0, 6, 5] = 1.0
    assert activation_boxes(one).tolist() == [[4 / 8, 4 / 8, 6 / 8, 7 / 8]]


@pytest.mark.parametrize("side", [7, 8, 13])
def test_a_region_that_winds_through_the_whole_map_is_one(side: int) -> None:
    winding = torch.zeros(1, 1, side, side)
    winding[:, :, ::2] = 1.0
    winding[:, :, 1::4, -1] = winding[:, :, 3::4, 0] = 1.0
    if side % 2 == 0:
        winding[:, :, -1] = 0.0
    rows = side - (side % 2 == 0)
    winding[:, :, 0, 0] = winding[:, :, rows - 1, 0] = 2.0
    assert activation_boxes(winding).tolist() == [[0, 0, 1, pytest.approx(rows / side)]]


def test_squares_are_those_of_annotated_boxes() -> None:
    """The same square as `cut` takes, up to its rounding to pixels."""
    rng, length = np.random.default_rng(0), 1000
    places = np.stack(np.meshgrid(np.arange(length), np.arange(length), indexing="ij"), -1)
    for _ in range(50):
        x, y = rng.uniform(0, 0.9, 2)
        w, h = rng.uniform(0.02, 1 - x), rng.uniform(0.02, 1 - y)
        shown = cut(places, (x * length, y * length, w * length, h * length))
        [[left, top, side]] = squares(torch.tensor([[x, y, x + w, y + h]])).tolist()
        assert [top * length, left * length] == pytest.approx(shown[0, 0], abs=2)
        assert side * length == pytest.approx(len(shown), abs=2)


def test_what_is_cut_out_is_that_part_of_the_picture() -> None:
    images = torch.rand(2, 3, 32, 32)
    whole = cut_squares(images, torch.tensor([[0.0, 0.0, 1.0]] * 2), 32)
    torch.testing.assert_close(whole, images)
    quarter = cut_squares(images, torch.tensor([[0.25, 0.5, 0.5], [0.0, 0.0, 0.5]]), 16)
    torch.testing.assert_close(quarter[0], images[0, :, 16:, 8:24])
    torch.testing.assert_close(quarter[1], images[1, :, :16, :16])
    zoomed = cut_squares(images, torch.tensor([[0.25, 0.5, 0.5]] * 2), 32)
    expected = interpolate(images[:, :, 16:, 8:24], (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(zoomed[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def made(params: Make, task: Task, variant: str, **changes: object) -> Frpt:
    torch.manual_seed(0)
    return Frpt.build(Frpt.named(params(variants=[variant], **changes), variant), task).eval()


@pytest.mark.parametrize("source", [None, {"side": 3 * SIDE}])
def test_the_backbone_is_shown_the_square_of_its_own_activations(
    params: Make, task: Task, source: dict[str, int] | None
) -> None:
    method = made(params, task, "activation", source=source)
    side = method.loaded.side
    assert side == (source or {"side": SIDE})["side"]
    images = torch.randint(0, 256, (3, 3, side, side), dtype=torch.uint8)
    shown = method.shown(images)
    assert shown.shape == (3, 3, SIDE, SIDE)
    small = images.float() / 255
    if source:
        small = interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    cuts = squares(activation_boxes(method.backbone(small).feature_map))
    torch.testing.assert_close(shown, cut_squares(images.float() / 255, cuts, SIDE))
    expected = method.head(method.backbone(shown).feature_map).mean((2, 3))  # type: ignore[misc]
    torch.testing.assert_close(method.pooled(images), expected)
    assert method.feature_source() is None  # what is kept would be of whole pictures


def test_annotated_boxes_are_cut_from_the_stored_pictures(params: Make, task: Task) -> None:
    variant = Frpt.named(params(variants=["box"]), "box")
    shown = Frpt.training_task(variant, task)
    for row, box in zip(task.manifest["row"], task.manifest["box"], strict=True):
        assert np.array_equal(shown.store[row], cut(task.store[row], tuple(box)))
    assert shown.store[0].shape == (13, 13, 3)
    assert shown.split.equals(task.split)
    assert Frpt.build(variant, shown).feature_source() is not None
    for name in ("CAH", "activation", "FRPT"):
        assert Frpt.training_task(Frpt.named(params(variants=[name]), name), task) is task


def test_features_of_cut_pictures_are_kept_apart(params: Make, task: Task) -> None:
    """With `views`, variant box must not read the features that CAH has kept."""
    assert with_boxes(task).states.folder("r").folder != task.states.folder("r").folder
    own = params(variants=["CAH", "box"], views=2)
    train_variants("frpt", own, task, Path("m"))
    stores = {path.parent for path in Path(task.states.root).rglob("features/*/*.bin")}
    assert len(stores) == 2
    first, second = ([path.read_bytes() for path in sorted(store.glob("*.bin"))] for store in stores)
    assert first != second


def test_fixed_prompts_train_are_scored_and_stand_beside_the_learned_one(
    params: Make, task: Task, figures: FigureFolder, batch: Batch
) -> None:
    own, out = params(variants=["frozen", "activation", "box", "FRPT"]), Path("m")
    train_variants("frpt", own, task, out)
    models = load_variants("frpt", own, out)
    result = evaluate(models, own, task, figures)
    pairs = {claim.claim: claim.decides for claim in result.claims}
    assert pairs["The learned prompt beats a crop to the box of activations"].endswith(
        "FRPT minus activation"
    )
    assert pairs["The learned prompt beats a crop to the annotated box"].endswith("FRPT minus box")
    measures = {variant.name: variant.measures for variant in result.variants}
    assert measures["box"]["trained_weights"] == measures["activation"]["trained_weights"]
    assert {"activation", "box"} <= {note.partition(":")[0] for note in result.notes}
    json.dumps(result.model_dump(mode="json"), allow_nan=False)
    # Scored on what is cut out, not on whole pictures.
    for name in ("activation", "box"):
        [model] = models[name]
        assert isinstance(model, Frpt)
        seen = Frpt.shown_task(model.variant, task)
        test = seen.subset("test")
        got = seen.run(model, model.embed, test, model.loaded, name)
        whole = task.run(model, model.embed, test, model.loaded, name)
        assert torch.equal(got, whole) == (name == "activation")


def test_a_saved_model_cuts_by_itself(params: Make, task: Task, batch: Batch) -> None:
    method = made(params, task, "activation")
    save_model(method, Path("model"))
    with torch.no_grad():
        assert torch.equal(load_model(Path("model")).embed(batch["images"]), method.embed(batch["images"]))


def test_pictures_without_any_box_are_refused(params: Make, task: Task) -> None:
    bare = replace(task, manifest=task.manifest.assign(box=None))
    with pytest.raises(UserError, match="no boxes to which its pictures could be cut"):
        Frpt.training_task(Frpt.named(params(variants=["box"]), "box"), bare)
