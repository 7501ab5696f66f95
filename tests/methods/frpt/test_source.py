"""A finer picture before the prompt: what is enlarged gains detail, which no warp of a small picture can give."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny import SIDE
from torch.nn.functional import interpolate

from fieldmark.base.errors import UserError
from fieldmark.contract.variants import load_variants, train_variants
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.evaluation import evaluate
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.results.figures import FigureFolder
from fieldmark.trained import TrainedModel

Make = Callable[..., FrptParams]
FINE = 3 * SIDE
SOURCE = {"side": FINE}
VARIANTS = ["frozen", "sampled", "CAH", "DPP", "FRPT"]


def made(params: Make, task: Task, variant: str) -> Frpt:
    return Frpt.build(Frpt.named(params(variants=[variant], source=SOURCE), variant), task).eval()


def test_only_a_prompt_looks_into_finer_pictures(params: Make, task: Task) -> None:
    sides = {name: made(params, task, name).loaded.side for name in VARIANTS}
    assert sides == {"frozen": SIDE, "sampled": FINE, "CAH": SIDE, "DPP": FINE, "FRPT": FINE}
    assert {Frpt.build(variant, task).loaded.side for variant in Frpt.variants(params())} == {SIDE}


def test_the_backbone_sees_pictures_of_its_own_size(params: Make, task: Task) -> None:
    saliency, warped = made(params, task, "DPP").prompted(torch.rand(2, 3, FINE, FINE))
    assert warped.shape == (2, 3, SIDE, SIDE)
    assert saliency.shape == made(params, task, "DPP").prompted(torch.rand(2, 3, SIDE, SIDE))[0].shape


def test_what_is_salient_is_found_in_the_small_picture(params: Make, task: Task) -> None:
    method, images = made(params, task, "DPP"), torch.rand(2, 3, FINE, FINE)
    assert method.prompt is not None
    torch.nn.init.normal_(method.prompt.weight, std=0.2)
    small = interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    expected = method.prompt.saliency(method.backbone.stage_features(small, method.params.stage))
    torch.testing.assert_close(method.prompted(images)[0], expected)


def test_an_even_look_takes_evenly_spaced_points(params: Make, task: Task) -> None:
    ramp = torch.linspace(0, 1, FINE).expand(1, 3, FINE, FINE)
    warped = made(params, task, "sampled").prompted(ramp)[1]
    torch.testing.assert_close(warped, torch.linspace(0, 1, SIDE).expand_as(warped), atol=1e-5, rtol=0)


def test_an_enlarged_place_shows_stripes_that_a_small_picture_has_lost(params: Make, task: Task) -> None:
    """A stripe and its gap fall on one pixel of the small picture: that is grey, and stays so when warped."""
    method = made(params, task, "DPP")
    assert method.prompt is not None
    fine = (torch.arange(FINE) % 3 == 0).float().expand(1, 3, FINE, FINE)
    small = interpolate(fine, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=True)
    spot = torch.zeros(1, 1, 8, 8)
    spot[..., 3:5, 3:5] = 1.0
    saliency = (spot + 0.02) / (spot + 0.02).sum()
    from_fine, from_small = method.prompt(fine, saliency), method.prompt(small, saliency)
    middle = (..., slice(SIDE // 2 - 4, SIDE // 2 + 4))
    assert from_fine[middle].std() > 10 * from_small[middle].std()


def test_even_sampling_trains_nothing_and_stands_in_the_table(
    params: Make, task: Task, tmp_path: Path, figures: FigureFolder
) -> None:
    own, out = params(variants=VARIANTS, source=SOURCE), tmp_path / "models"
    train_variants("frpt", own, task, out)
    models = load_variants("frpt", own, out)
    result = evaluate(models, own, task, figures)
    measures = {variant.name: variant.measures for variant in result.variants}
    assert measures["sampled"]["trained_weights"].value == 0
    assert torch.count_nonzero(models["sampled"][0].prompt.weight) == 0
    recall = {name: row["recall@1"].value for name, row in measures.items()}
    gain = f"by recall@1: DPP {100 * (recall['DPP'] - recall['sampled']):+.1f} points ("
    assert gain in result.notes[-1]
    assert "FRPT" in result.notes[-1]
    ranked = {name: row["map@r"].value for name, row in measures.items()}
    gain = f"FRPT minus frozen is {100 * (ranked['FRPT'] - ranked['frozen']):+.1f} points ("
    assert gain in result.notes[-2]
    pairs = [claim.decides.removeprefix("recall@1 of ") for claim in result.claims]
    # What the prompt learned shows against the same pictures; the head alone sees coarser ones than FRPT.
    compared = ["FRPT minus frozen", "DPP minus sampled", "CAH minus frozen", "FRPT minus DPP"]
    assert pairs == [*compared, "FRPT minus attention"]
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    given = TrainedModel(out / "FRPT").transform(torch.from_numpy(pixels).permute(2, 0, 1))
    assert given.shape == (3, FINE, FINE)


def test_even_sampling_needs_something_finer(params: Make) -> None:
    with pytest.raises(UserError, match="variant sampled needs source"):
        params(variants=["sampled"])
