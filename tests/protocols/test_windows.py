"""Sliding windows against a loop over pixels, and fine-tuning on crops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.masked import CLASSES, masked_task
from support.tiny import tiny_resnet, tiny_vit
from timm.layers.drop import DropPath
from torch.nn.functional import interpolate

from fieldmark.base.blocks import parse
from fieldmark.datasets.data.batches.transforms import WindowParams
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.evaluation import mean_iou
from fieldmark.protocols.dense import Segmenter, fine_tune, new_decoder
from fieldmark.protocols.depth import set_drop_path
from fieldmark.protocols.pairs import Pairs
from fieldmark.protocols.windows import predicted_shape, slide, sliding_scores, window_starts

SIDE = 32
PARAMS = WindowParams(side=SIDE, stride=24, resize=40)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return masked_task(tmp_path / "task", pictures=15, sides=(48, 40, 24))


def segmenter() -> Segmenter:
    backbone = tiny_vit()
    return Segmenter(
        backbone, new_decoder(backbone.spec.dim, torch.ones(CLASSES, dtype=torch.bool), 1), 1
    ).eval()


@pytest.mark.parametrize(
    ("length", "side", "stride", "starts"),
    [
        (32, 32, 24, [0]),
        (33, 32, 24, [0, 1]),
        (56, 32, 24, [0, 24]),
        (57, 32, 24, [0, 24, 25]),
        (100, 32, 32, [0, 32, 64, 68]),
        (96, 32, 32, [0, 32, 64]),
    ],
)
def test_windows_lie_a_stride_apart_and_the_last_ends_with_the_picture(
    length: int, side: int, stride: int, starts: list[int]
) -> None:
    assert window_starts(length, side, stride) == starts
    covered = np.zeros(length, bool)
    for start in starts:
        covered[start : start + side] = True
    assert covered.all()


def test_a_picture_is_never_smaller_than_a_window() -> None:
    assert predicted_shape(100, 200, PARAMS) == (40, 80)
    assert predicted_shape(200, 50, PARAMS) == (160, 40)
    assert predicted_shape(300, 30, PARAMS) == (320, 32)  # longer than four times: 160 x 16 at first
    assert predicted_shape(9, 9, WindowParams(side=64, stride=64, resize=32)) == (64, 64)


def test_sliding_equals_a_loop_over_pixels() -> None:
    """Every pixel by hand: the mean over all windows that hold it of their scores at its place in them."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 57, 80), generator=generator, dtype=torch.uint8)
    model = segmenter()
    tops, lefts = [0, 24, 25], [0, 24, 48]
    fine = {}
    with torch.no_grad():
        for top in tops:
            for left in lefts:
                window = image[None, :, top : top + SIDE, left : left + SIDE]
                coarse = model.decoder(model.backbone(window).feature_map)
                fine[top, left] = interpolate(coarse, (SIDE, SIDE), mode="bilinear", align_corners=False)[0]
    expected = torch.zeros(CLASSES, 57, 80)
    for row in range(57):
        for column in range(80):
            held = [
                scores[:, row - top, column - left]
                for (top, left), scores in fine.items()
                if top <= row < top + SIDE and left <= column < left + SIDE
            ]
            expected[:, row, column] = torch.stack(held).mean(0)
    torch.testing.assert_close(sliding_scores(model.scores, image, PARAMS), expected, rtol=1e-4, atol=1e-5)


def test_one_window_is_the_whole_picture() -> None:
    model, image = segmenter(), torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8)
    with torch.inference_mode():
        whole = interpolate(model.scores(image[None]), (SIDE, SIDE), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(sliding_scores(model.scores, image, PARAMS), whole)


def test_sliding_scores_masks_of_any_size(task: Task) -> None:
    pairs, model = Pairs.of(task, "test"), segmenter()
    scored, shown = slide(model, model.scores, pairs, PARAMS, [1, 4], "x")
    guesses, truths = [], []
    for index in range(len(pairs)):
        mask = pairs.mask(index)
        pixels = torch.from_numpy(task.store[int(pairs.subset.rows[index])].copy()).permute(2, 0, 1)
        shape = predicted_shape(*mask.shape, PARAMS)
        image = interpolate(pixels[None].float(), shape, mode="bilinear", antialias=True)[0].round().byte()
        scores = sliding_scores(model.scores, image, PARAMS)
        guesses.append(interpolate(scores[None], mask.shape, mode="bilinear")[0].argmax(0).numpy())
        truths.append(mask)
    assert len({mask.shape for mask in truths}) == 3
    flat = [np.concatenate([part.ravel() for part in parts]) for parts in (guesses, truths)]
    assert scored.miou == pytest.approx(mean_iou(*flat, CLASSES)["miou"], abs=0.01)  # uint8 rounds by one
    assert [mask.shape for mask in shown] == [truths[index].shape for index in (1, 4)]
    assert np.mean(shown[0] == guesses[1]) > 0.95


def test_fine_tuning_on_crops_learns(task: Task, tmp_path: Path) -> None:
    pairs, recipe = Pairs.of(task, "train"), TrainParams(steps=30, batch_size=6, lr=8e-3, schedule="poly")
    params = WindowParams(side=SIDE, stride=SIDE, resize=40, distort=False)
    model = segmenter()
    before = slide(model, model.scores, pairs, params, [], "before")[0].miou
    tuned, curve = fine_tune(
        model.backbone,
        model.decoder,
        pairs,
        params,
        recipe,
        1,
        CheckpointFolder(tmp_path / "states", "run", "key"),
        "run",
        drop_path=0.1,
    )
    assert curve[-1]["loss"] < 0.75 * curve[0]["loss"]
    assert slide(tuned, tuned.scores, pairs, params, [], "after")[0].miou > 3 * before


def test_stochastic_depth_rises_over_the_blocks_and_sleeps_in_the_test() -> None:
    backbone, images = tiny_vit(), torch.rand(4, 3, SIDE, SIDE)
    plain = backbone.eval()(images).feature_map
    assert set_drop_path(backbone, 0.5)
    blocks = backbone.trunk.network.blocks
    assert [[path.drop_prob for path in (block.drop_path1, block.drop_path2)] for block in blocks] == [
        [0.0, 0.0],
        [0.5, 0.5],
    ]
    assert all(isinstance(block.drop_path1, DropPath) for block in blocks)
    assert torch.equal(backbone.eval()(images).feature_map, plain)
    torch.manual_seed(0)
    assert not torch.equal(backbone.train()(images).feature_map, plain)
    assert not set_drop_path(tiny_resnet(), 0.5)


def test_dropped_branches_are_made_up_for() -> None:
    """The mean over many draws is the branch itself: what is kept is divided by the rate of keeping."""
    backbone = tiny_vit()
    set_drop_path(backbone, 0.25)
    torch.manual_seed(0)
    path = backbone.trunk.network.blocks[-1].drop_path1.train()
    kept = path(torch.ones(4000, 2, 3))
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float(kept.mean()) == pytest.approx(1.0, abs=0.03)
    assert bool((kept == kept[:, :1, :1]).all())  # a whole picture at a time


def test_a_new_decoder_is_segmenters() -> None:
    decoder = new_decoder(8, torch.tensor([True, True, False]), 3)
    maps = torch.randn(2, 8, 4, 4)
    expected = torch.einsum("cd,bdhw->bchw", decoder.head.weight, maps)
    torch.testing.assert_close(decoder(maps)[:, :2], expected[:, :2])
    assert torch.equal(new_decoder(8, torch.tensor([True] * 3), 3).head.weight, decoder.head.weight)
    assert not torch.equal(new_decoder(8, torch.tensor([True] * 3), 4).head.weight, decoder.head.weight)


def test_a_recipe_of_windows_is_read() -> None:
    assert parse(WindowParams, {}, "windows") == WindowParams()
    assert (WindowParams().side, WindowParams().stride, WindowParams().scale) == (512, 512, (0.5, 2.0))
