"""Pairs of pictures and masks, the linear decoder, and its scores."""

import copy
import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.masked import CLASSES, masked_task
from support.tiny import SIDE, tiny_vit
from torch.autograd import gradcheck
from torch.nn.functional import cross_entropy, interpolate

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.loading import Slice, sequential_slices
from fieldmark.datasets.data.batches.transforms import ImageParams, training_transform
from fieldmark.datasets.data.packed.store import MASK_NAMES
from fieldmark.engine.checkpoint import CheckpointFolder
from fieldmark.engine.params import TrainParams
from fieldmark.engine.task import Task
from fieldmark.evaluation import mean_iou
from fieldmark.methods.loca.model.dense import DenseParams, ProbeParams
from fieldmark.protocols.dense import (
    LinearDecoder,
    Segmenter,
    feature_maps,
    fine_tune,
    fit_probe,
    overlaps,
    pixel_loss,
    predict,
    strided,
)
from fieldmark.protocols.pairs import PairDataset, Pairs

LENGTHS: tuple[dict[str, object], ...] = ({"steps": 7}, {"passes": 2})


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.chdir(tmp_path)
    return masked_task(tmp_path / "task")


def dense(**changes: object) -> DenseParams:
    return parse(DenseParams, {"images": {"side": SIDE}, "loss_stride": 2, **changes}, "dense")


def test_pairs_are_the_pictures_with_a_mask(task: Task) -> None:
    whole = Pairs.of(task, "train")
    manifest = task.manifest.copy()
    manifest.loc[manifest["row"].isin(whole.subset.rows[[1, 4]]), "mask_row"] = -1
    some = Pairs.of(dataclasses.replace(task, manifest=manifest), "train")
    assert (len(whole), len(some)) == (18, 16)
    assert some.subset.rows.tolist() == np.delete(whole.subset.rows, [1, 4]).tolist()
    assert np.array_equal(some.mask(1), whole.mask(2))
    assert some.classes == CLASSES


def test_fewer_labels_are_among_more_and_do_not_depend_on_the_order(task: Task) -> None:
    pairs = Pairs.of(task, "train")
    chosen = [set(pairs.few(fraction, 0)) for fraction in (0.01, 0.25, 0.5, 1.0)]
    assert [len(some) for some in chosen] == [1, 4, 9, 18]
    assert all(less <= more for less, more in itertools.pairwise(chosen))
    turned = dataclasses.replace(task, split=task.split.iloc[::-1])
    ids = set(pairs.subset.frame["id"].iloc[sorted(chosen[1])])
    other = Pairs.of(turned, "train")
    assert set(other.subset.frame["id"].iloc[other.few(0.25, 0)]) == ids
    assert set(pairs.few(0.25, 1)) != chosen[1]


def test_masks_are_cut_and_mirrored_with_their_pictures(task: Task) -> None:
    """The tiny pictures show their mask in red: 60 times the label."""
    pairs = Pairs.of(task, "train")
    transform = training_transform(ImageParams(side=SIDE, scale=(0.2, 0.6)))
    dataset = PairDataset(task.store, pairs.subset.rows, pairs.mask_rows, transform, seed=3)
    batch = dataset[Slice(0, 0, tuple(range(len(pairs))))]
    red, masks = batch["images"][:, 0].float() / 60, batch["masks"].float()
    assert batch["masks"].dtype == torch.uint8
    assert (red.round() == masks).float().mean() > 0.9  # edges are mixed in the picture, not in the mask
    original = torch.stack([torch.from_numpy(pairs.mask(i).copy()) for i in range(len(pairs))])
    assert (original != batch["masks"]).any()


def test_a_batch_depends_on_seed_step_and_place_alone(task: Task) -> None:
    pairs = Pairs.of(task, "train")
    transform = training_transform(ImageParams(side=SIDE, jitter=0.3))
    dataset = PairDataset(task.store, pairs.subset.rows, pairs.mask_rows, transform, seed=3)
    whole, part = dataset[Slice(5, 0, (2, 7, 9))], dataset[Slice(5, 1, (7, 9))]
    assert torch.equal(whole["images"][1:], part["images"])
    assert torch.equal(whole["masks"][1:], part["masks"])


def test_masks_without_names_and_some_of_the_pairs(task: Task) -> None:
    pairs = Pairs.of(task, "train")
    some = pairs.taken(np.array([3, 7]))
    assert np.array_equal(some.mask(1), pairs.mask(7))
    assert list(some.subset.frame["id"]) == list(pairs.subset.frame["id"].iloc[[3, 7]])
    (task.store.folder / MASK_NAMES).unlink()
    with pytest.raises(UserError, match="run `prepare` again"):
        Pairs.of(task, "train")


def test_small_masks_take_the_nearest_pixel(task: Task) -> None:
    pairs = Pairs.of(task, "test")
    small = pairs.small_masks(SIDE // 4)
    expected = np.stack([pairs.mask(i)[2::4, 2::4] for i in range(len(pairs))])
    assert np.array_equal(small.numpy(), expected)


def test_the_loss_is_cross_entropy_over_labelled_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 3, 4, 4, generator=generator)
    masks = torch.randint(0, 3, (2, 8, 8), generator=generator)
    masks[0, :3] = 255
    fine = interpolate(scores, (8, 8), mode="bilinear", align_corners=False)
    total, count = 0.0, 0
    for picture in range(2):
        for row in range(8):
            for column in range(8):
                if masks[picture, row, column] != 255:
                    logits = fine[picture, :, row, column]
                    total += float(cross_entropy(logits[None], masks[picture, row, column][None]))
                    count += 1
    assert float(pixel_loss(scores, masks.to(torch.uint8))) == pytest.approx(total / count, rel=1e-5)
    assert float(pixel_loss(scores, torch.full((2, 8, 8), 255))) == 0.0


def test_gradient_of_the_loss() -> None:
    scores = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    masks = torch.tensor([[[0, 1, 255], [2, 2, 1], [0, 255, 1]]])
    # The loss works in float32; a matching function in float64 has the same gradient.
    pixel_loss(scores, masks).backward()

    def exact(values: torch.Tensor) -> torch.Tensor:
        fine = interpolate(values, (3, 3), mode="bilinear", align_corners=False)
        return cross_entropy(fine, masks, ignore_index=255)

    again = scores.detach().clone().requires_grad_()
    exact(again).backward()
    assert scores.grad is not None
    assert again.grad is not None
    torch.testing.assert_close(scores.grad, again.grad, rtol=1e-5, atol=1e-6)
    assert gradcheck(exact, (again,))


def test_strided_takes_the_middle_of_each_cell() -> None:
    masks = torch.arange(64).view(1, 8, 8)
    assert strided(masks, 4).tolist() == [[[18, 22], [50, 54]]]
    assert strided(masks, 1) is not None
    assert torch.equal(strided(masks, 1), masks)


def test_predictions_are_the_best_class_of_the_upsampled_scores() -> None:
    scores = torch.randn(3, 5, 4, 4)
    expected = interpolate(scores, (10, 12), mode="bilinear", align_corners=False).argmax(1)
    assert torch.equal(predict(scores, (10, 12)), expected)


def test_overlaps_equal_the_public_measure_at_the_stored_sizes(tmp_path: Path) -> None:
    task = masked_task(tmp_path / "task", sides=(SIDE, 40, 24))
    pairs = Pairs.of(task, "test")
    scores = torch.randn(len(pairs), CLASSES, 4, 4)
    scored = overlaps(scores, pairs)
    masks = [pairs.mask(i) for i in range(len(pairs))]
    assert len({mask.shape for mask in masks}) == 3
    guesses = [predict(scores[i : i + 1], masks[i].shape)[0] for i in range(len(pairs))]
    flat = [np.concatenate([np.asarray(part).ravel() for part in parts]) for parts in (guesses, masks)]
    assert scored.miou == pytest.approx(mean_iou(*flat, CLASSES)["miou"])
    single = mean_iou(guesses[3], masks[3].copy(), CLASSES)
    assert scored.both[3].sum() / scored.true[3].sum() == pytest.approx(single["pixel_accuracy"])


def test_a_probe_learns_what_is_linear_and_scales_of_channels_do_not_matter(task: Task) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(20, 4, 6, 6, generator=generator)
    masks = maps[:, :3].argmax(1).to(torch.uint8)
    params = ProbeParams(passes=60, batch_size=8, lr=0.1).recipe(20)
    decoder = fit_probe(maps, masks, 3, params)
    assert (decoder(maps).argmax(1) == masks).float().mean() > 0.97
    scaled = fit_probe(maps * torch.tensor([1e3, 1.0, 1e-3, 7.0]).view(1, 4, 1, 1) + 5, masks, 3, params)
    torch.testing.assert_close(scaled.head.weight, decoder.head.weight, rtol=0.05, atol=0.02)
    again = fit_probe(maps, masks, 3, params)
    assert torch.equal(again.head.weight, decoder.head.weight)


def test_a_probe_survives_a_dead_channel_and_one_picture() -> None:
    maps, short = torch.zeros(1, 4, 3, 3), ProbeParams(passes=3, batch_size=8).recipe(1)
    decoder = fit_probe(maps, torch.zeros(1, 3, 3, dtype=torch.uint8), 2, short)
    assert bool(torch.isfinite(decoder(maps)).all())


def test_features_are_those_of_whole_pictures(task: Task) -> None:
    pairs, backbone = Pairs.of(task, "test"), tiny_vit()
    maps = feature_maps(backbone, pairs, dense().images, "x")
    pixels = torch.from_numpy(task.store[int(pairs.subset.rows[4])].copy()).permute(2, 0, 1)
    with torch.no_grad():
        torch.testing.assert_close(maps[4], backbone.eval()(pixels[None]).feature_map[0])
    assert not maps.is_inference()


def test_fine_tuning_trains_the_backbone_resumes_and_repeats(task: Task, tmp_path: Path) -> None:
    pairs = Pairs.of(task, "train")
    recipe = TrainParams(steps=30, batch_size=8, lr=3e-3)

    def tuned(states: str) -> tuple[Segmenter, list[dict[str, float]]]:
        checkpoints = CheckpointFolder(tmp_path / states, "run", "key")
        return fine_tune(tiny_vit(), probe, pairs, dense().images, recipe, 2, checkpoints, "run")

    probe = LinearDecoder(tiny_vit().spec.dim, pairs.seen())
    before = copy.deepcopy(probe.state_dict())
    model, curve = tuned("states")
    assert all(torch.equal(value, before[name]) for name, value in probe.state_dict().items())
    assert not torch.equal(model.decoder.head.weight, probe.head.weight)
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    changed = [
        not torch.equal(a, b)
        for a, b in zip(model.backbone.parameters(), tiny_vit().parameters(), strict=True)
    ]
    assert all(changed)
    again, _ = tuned("states")  # takes up the finished state
    other, _ = tuned("new")
    for repeated in (again, other):
        for name, value in model.state_dict().items():
            torch.testing.assert_close(repeated.state_dict()[name], value, msg=name)


def test_unlabelled_pictures_give_a_loss_of_zero(task: Task) -> None:
    backbone = tiny_vit()
    model = Segmenter(backbone, LinearDecoder(backbone.spec.dim, torch.ones(CLASSES, dtype=torch.bool)), 1)
    batch = {
        "images": torch.zeros(2, 3, SIDE, SIDE),
        "masks": torch.full((2, SIDE, SIDE), 255, dtype=torch.uint8),
    }
    assert float(model(batch)["loss"].detach()) == 0.0


def test_the_decoder_is_one_linear_map_per_patch() -> None:
    decoder = LinearDecoder(6, torch.tensor([True, True, False]))
    assert sum(p.numel() for p in decoder.parameters()) == 3 * 6 + 3
    assert (decoder(torch.randn(4, 6, 5, 5)).argmax(1) < 2).all()


def test_labels_that_no_mask_holds_are_never_predicted(task: Task) -> None:
    pairs = Pairs.of(task, "train")
    assert pairs.seen().tolist() == [True, True, True, False]
    maps, masks = torch.randn(5, 4, 3, 3), torch.full((5, 3, 3), 2, dtype=torch.uint8)
    masks[0], masks[1] = 0, 255
    decoder = fit_probe(maps, masks, 4, ProbeParams(passes=2).recipe(5))
    assert set(decoder(torch.randn(50, 4, 3, 3)).argmax(1).unique().tolist()) <= {0, 2}
    tuned = LinearDecoder(4, torch.ones(4, dtype=torch.bool))
    tuned.predict_only(pairs.seen())
    assert int(tuned(torch.randn(50, 4, 3, 3)).argmax(1).max()) < 3


def test_fine_tuning_begins_where_the_probe_ends(task: Task, tmp_path: Path) -> None:
    """Without a step that changes anything it scores as the probe; a probe on few labels learns the others."""
    pairs, backbone = Pairs.of(task, "train"), tiny_vit()
    maps = feature_maps(backbone, pairs, dense().images, "train")
    probe = fit_probe(maps, pairs.small_masks(SIDE // 2), 4, ProbeParams(passes=3).recipe(len(pairs)))
    still = TrainParams(steps=1, batch_size=8, lr=1e-12, weight_decay=0.0)
    checkpoints = CheckpointFolder(tmp_path / "states", "run", "key")
    model, _ = fine_tune(tiny_vit(), probe, pairs, dense().images, still, 2, checkpoints, "run")
    with torch.inference_mode():
        scores = task.run(model, model.scores, pairs.subset, dense().images, "scores")
        torch.testing.assert_close(scores, probe(maps), rtol=1e-4, atol=1e-4)
    narrow = LinearDecoder(backbone.spec.dim, torch.tensor([True, False, False, False]))
    model, _ = fine_tune(tiny_vit(), narrow, pairs, dense().images, still, 2, checkpoints, "other")
    assert (model.decoder.penalty == 0).tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": {"side": SIDE, "resize": 40}}, "whole pictures"),
        ({"images": {"side": SIDE, "crop": "centre"}}, "whole pictures"),
        ({"images": {"side": SIDE, "erase": 0.2}}, "without their masks"),
        ({"images": {"side": SIDE, "cutout": 0.2}}, "without their masks"),
        ({"images": {"side": SIDE, "augment": 2}}, "without their masks"),
        ({"windows": {"stride": 600}}, "leaves gaps"),
        ({"fractions": [0.5, 0.25]}, "rising order"),
        ({"tuned_fractions": [0.5, 0.25]}, "rising order"),
        ({"fractions": [0.0, 1.0]}, "above 0"),
        ({"fractions": []}, "fractions"),
        ({"prob": {}}, "prob"),
    ],
)
def test_wrong_parameters_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        dense(**change)


def test_pairs_of_a_store_in_any_order(task: Task) -> None:
    shuffled = dataclasses.replace(task, manifest=task.manifest.sample(frac=1, random_state=0))
    assert np.array_equal(Pairs.of(task, "test").mask_rows, Pairs.of(shuffled, "test").mask_rows)
    assert isinstance(Pairs.of(task, "test").subset.frame, pd.DataFrame)
    assert len(sequential_slices(3, 2)) == 2


def test_fine_tuning_counts_steps_or_passes() -> None:
    by_steps, by_passes = (
        dense(finetune={**length, "lr": 0.1, "batch_size": 4}).finetune for length in LENGTHS
    )
    assert by_steps is not None
    assert by_passes is not None
    assert by_steps.recipe(100) == by_steps.recipe(3) == TrainParams(steps=7, lr=0.1, batch_size=4)
    assert [by_passes.recipe(count).steps for count in (100, 10, 1)] == [50, 5, 1]
    for length in LENGTHS:  # a model is saved with its block, which is read again
        block = dense(finetune={**length, "lr": 0.1})
        assert parse(DenseParams, block.model_dump(mode="json"), "dense") == block
    with pytest.raises(UserError, match="not both"):
        dense(finetune={"steps": 1, "passes": 2, "lr": 0.1})
