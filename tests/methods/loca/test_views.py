"""Views: what is drawn depends on seed, step and place alone; crops against an independent resize; colours."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from fieldmark.methods.loca.model.correspondence import position_targets
from fieldmark.methods.loca.model.params import BlurParams, ColourParams, ViewParams
from fieldmark.methods.loca.model.photometry import NUMBERS as COLOUR_NUMBERS
from fieldmark.methods.loca.model.photometry import blurred, recoloured, solarized
from fieldmark.methods.loca.model.views import NUMBERS, crop, crop_boxes, draws, make_views

PLAIN = ColourParams(jitter=0, grey=0, solarize=0)
SMALL = ViewParams(reference_size=32, random_tokens=4, focal_count=2, focal_size=16)


def pictures(count: int, height: int = 40, width: int = 48) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def numbers(count: int, seed: int = 0, step: int = 0, first: int = 0) -> torch.Tensor:
    return draws(seed, step, range(first, first + count), 4 * NUMBERS).view(count, 4, NUMBERS)


def test_a_picture_gets_the_same_numbers_in_any_batch() -> None:
    whole = draws(3, 7, range(8), 50)
    assert torch.equal(whole[4:], draws(3, 7, range(4, 8), 50))
    others = [draws(4, 7, range(8), 50), draws(3, 8, range(8), 50), draws(3, 7, range(1, 9), 50)]
    assert not any((whole == other).any() for other in others)
    assert len({float(value) for value in whole[:, 0]}) == 8


def test_views_of_a_picture_do_not_depend_on_its_neighbours_nor_on_the_global_generator() -> None:
    images = pictures(4)
    torch.manual_seed(0)
    whole = make_views(images, numbers(4), SMALL, 8)
    torch.manual_seed(1)
    half = make_views(images[2:], numbers(2, first=2), SMALL, 8)
    for name, axis in (("reference", 0), ("random", 0), ("focal", 1)):
        for field in dataclasses.fields(whole.reference):
            one, other = getattr(getattr(whole, name), field.name), getattr(getattr(half, name), field.name)
            torch.testing.assert_close(one.narrow(axis, 2, 2), other, atol=1e-6, rtol=0)


def test_shapes_and_ranges() -> None:
    views = make_views((255 * pictures(3)).byte(), numbers(3), SMALL, 8)
    assert views.reference.images.shape == views.random.images.shape == (3, 3, 32, 32)
    assert views.focal.images.shape == (2, 3, 3, 16, 16)
    assert views.reference.targets.shape == (3, 4, 4)
    assert views.focal.targets.shape == (2, 3, 2, 2)
    assert not views.reference.flipped.any()
    assert torch.equal(views.reference.targets, torch.arange(16).view(4, 4).expand(3, 4, 4))
    for view in (views.reference, views.random, views.focal):
        assert view.images.min() >= 0
        assert view.images.max() <= 1


def test_targets_are_those_of_the_boxes() -> None:
    views = make_views(pictures(5), numbers(5), SMALL, 8)
    for n in range(2):
        for b in range(5):
            wanted = position_targets(
                views.reference.boxes[b].tolist(),
                views.focal.boxes[n, b].tolist(),
                (2, 2),
                bool(views.focal.flipped[n, b]),
                reference_grid=(4, 4),
                query_size=16,
            )
            assert torch.equal(views.focal.targets[n, b], wanted)


def test_targets_point_at_the_same_place_of_the_picture() -> None:
    """A picture of coordinates: a query patch and its target patch of the reference show the same place."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    images = torch.stack([y / 128, x / 128, 0 * x]).expand(16, 3, 128, 128)
    params = ViewParams(
        reference_size=128, random_tokens=9, focal_count=2, focal_size=64, colour=PLAIN, blur=None
    )
    views = make_views(images, numbers(16), params, 16)
    shown, checked = views.reference.images, 0
    places = shown.unfold(2, 16, 16).unfold(3, 16, 16).mean((4, 5)).flatten(2)
    for n in range(2):
        patches = views.focal.images[n].unfold(2, 16, 16).unfold(3, 16, 16).mean((4, 5)).flatten(2)
        targets = views.focal.targets[n].flatten(1)
        for b in range(16):
            half = views.reference.boxes[b, 2:].max() / 8 / 128  # a patch of the reference, in the picture
            for i in (targets[b] >= 0).nonzero()[:, 0]:
                apart = (patches[b, :2, i] - places[b, :2, targets[b, i]]).abs().max()
                assert apart <= half / 2 + 2 / 128
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", [(0, 0, 40, 48), (5, 7, 20, 33), (39, 0, 1, 48)])
def test_crop_equals_slicing_and_resizing(box: tuple[int, int, int, int], flip: bool) -> None:
    images = pictures(2).double()
    y, x, height, width = box
    wanted = interpolate(
        images[:, :, y : y + height, x : x + width], size=24, mode="bilinear", align_corners=False
    )
    got = crop(images, torch.tensor([box, box]), 24, torch.tensor([flip, flip]))
    torch.testing.assert_close(got, wanted.flip(3) if flip else wanted, atol=3e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(100, 100), (60, 140), (140, 50)])
def test_boxes_fit_and_have_the_wanted_area_and_aspect(height: int, width: int) -> None:
    uniform = torch.rand(2000, NUMBERS, generator=torch.Generator().manual_seed(0))
    y, x, tall, wide = crop_boxes(uniform, height, width, (0.32, 1.0), (0.75, 4 / 3)).T
    assert int(torch.minimum(y, x).min()) == 0
    assert int((y + tall).max()) == height
    assert int((x + wide).max()) <= width
    aspect, area = wide / tall, wide * tall / (height * width)
    assert 0.7 < float(aspect.min()) < 0.85
    assert 1.2 < float(aspect.max()) < 1.4
    assert float(area.max()) <= 1.0
    if height == width:
        assert 0.3 < float(area.min()) < 0.34
        # the height is uniform, so the area is not: its root has the mean of a uniform side
        assert float(area.sqrt().mean()) == pytest.approx(0.76, abs=0.03)


def strengths(**given: float) -> torch.Tensor:
    """Numbers that leave a picture alone but for what is given."""
    row = torch.full((1, COLOUR_NUMBERS), 0.5)
    row[0, 1:5] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    for name, value in given.items():
        row[0, 5 + ("brightness", "contrast", "saturation", "hue").index(name)] = value
    return row


SURE = ColourParams(jitter=1.0, grey=0.0, solarize=0.0)


def test_no_strength_changes_nothing_and_neither_does_no_jitter() -> None:
    image = pictures(1)
    torch.testing.assert_close(recoloured(image, strengths(), SURE), image, atol=1e-5, rtol=0)
    wild = strengths(brightness=0.9, hue=0.0)
    torch.testing.assert_close(recoloured(image, wild, PLAIN), image, atol=1e-5, rtol=0)


def test_brightness_is_added_and_clipped() -> None:
    image = pictures(1)
    torch.testing.assert_close(recoloured(image, strengths(brightness=1.0), SURE), (image + 0.4).clamp(0, 1))


def test_contrast_stretches_about_each_channels_mean() -> None:
    image = 0.4 + 0.2 * pictures(1)
    mean = image.mean((2, 3), keepdim=True)
    got = recoloured(image, strengths(contrast=0.0), SURE)
    torch.testing.assert_close(got, mean + 0.6 * (image - mean))


def test_hue_turns_and_saturation_fades_with_the_luma_kept() -> None:
    image = 0.4 + 0.2 * pictures(1)
    luma = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    for change in ({"hue": 1.0}, {"saturation": 0.0}, {"saturation": 1.0}):
        got = recoloured(image, strengths(**change), SURE)
        torch.testing.assert_close((luma * got).sum(1), (luma * image).sum(1), atol=2e-3, rtol=0)
        assert (got - image).abs().max() > 0.01
    back = recoloured(recoloured(image, strengths(hue=1.0), SURE), strengths(hue=0.0), SURE)
    torch.testing.assert_close(back, image, atol=1e-4, rtol=0)


def test_grey_has_equal_channels() -> None:
    got = recoloured(pictures(1), strengths(), ColourParams(jitter=0, grey=1.0))
    torch.testing.assert_close(got[:, 0], got[:, 2])


def test_the_order_of_changes_matters_and_is_the_drawn_one() -> None:
    image, row = pictures(1), strengths(brightness=1.0, contrast=0.0)
    other = row.clone()
    other[0, 1:3] = torch.tensor([0.2, 0.1])  # contrast first
    brighter = (image + 0.4).clamp(0, 1)
    mean = brighter.mean((2, 3), keepdim=True)
    torch.testing.assert_close(recoloured(image, row, SURE), mean + 0.6 * (brighter - mean))
    assert (recoloured(image, other, SURE) - recoloured(image, row, SURE)).abs().max() > 0.05


def test_blur_equals_a_gaussian_filter_away_from_the_edges() -> None:
    from scipy.ndimage import gaussian_filter

    image, row = pictures(1, 120, 120), strengths()
    row[0, 10], row[0, 11] = 0.0, 0.5  # chosen; sigma in the middle of its range
    got = blurred(image, row, 0.5, (1.0, 2.0))[0, 0]
    wanted = gaussian_filter(image[0, 0].numpy().astype(np.float64), 1.5, truncate=6 / 1.5)
    torch.testing.assert_close(
        got[8:-8, 8:-8].double(), torch.from_numpy(wanted)[8:-8, 8:-8], atol=1e-5, rtol=0
    )
    assert torch.equal(blurred(image, row, 0.0, (1.0, 2.0)), image)
    flat = torch.full((1, 3, 32, 32), 0.3)
    torch.testing.assert_close(blurred(flat, row, 1.0, (1.0, 2.0)), flat)


def test_blur_touches_only_the_chosen() -> None:
    images, rows = pictures(2), strengths().repeat(2, 1)
    rows[:, 10] = torch.tensor([0.2, 0.8])
    got = blurred(images[..., :40], rows, 0.5, (1.0, 1.0))
    assert torch.equal(got[1], images[1, ..., :40])
    assert not torch.equal(got[0], images[0, ..., :40])


def blurred_alone(
    images: torch.Tensor, uniform: torch.Tensor, probability: float, sigma: tuple[float, float]
) -> torch.Tensor:
    """Blur the chosen pictures and no others: fewer products, but their number depends on what was drawn."""
    chosen = (uniform[:, 10] < probability).nonzero()[:, 0]
    side = images.shape[-1]
    distance = (torch.arange(side)[:, None] - torch.arange(side)).abs()
    width = (sigma[0] + (sigma[1] - sigma[0]) * uniform[chosen, 11])[:, None, None]
    kernel = torch.exp(-distance.square() / (2 * width.square())) * (distance <= side // 10 // 2)
    kernel = (kernel / kernel.sum(2, keepdim=True))[:, None]
    return images.index_copy(0, chosen, kernel @ images[chosen] @ kernel.transpose(2, 3))


@pytest.mark.parametrize("side", [32, 48, 96])
@pytest.mark.parametrize("probability", [0.1, 0.5, 1.0])
def test_blurring_all_gives_exactly_what_blurring_the_chosen_alone_gives(
    side: int, probability: float
) -> None:
    generator = torch.Generator().manual_seed(side)
    images = torch.rand(24, 3, side, side, generator=generator)
    uniform = torch.rand(24, COLOUR_NUMBERS, generator=generator)
    wanted = blurred_alone(images, uniform, probability, (0.1, 2.0))
    assert torch.equal(blurred(images, uniform, probability, (0.1, 2.0)), wanted)
    focal = blurred(images.unflatten(0, (4, 6)), uniform.unflatten(0, (4, 6)), probability, (0.1, 2.0))
    assert torch.equal(focal.flatten(0, 1), wanted)


def test_without_blur_views_are_those_of_the_released_configuration() -> None:
    images = pictures(2)
    off = make_views(images, numbers(2), SMALL.model_copy(update={"blur": None}), 8)
    never = make_views(
        images, numbers(2), SMALL.model_copy(update={"blur": BlurParams(reference=0, random=0, focal=0)}), 8
    )
    assert torch.equal(off.reference.images, never.reference.images)
    assert not torch.equal(off.reference.images, make_views(images, numbers(2), SMALL, 8).reference.images)


def test_solarize_inverts_bright_values() -> None:
    image, row = pictures(1), strengths()
    row[0, 12] = 0.1
    torch.testing.assert_close(solarized(image, row, 0.2), torch.where(image >= 0.5, 1 - image, image))
    assert torch.equal(solarized(image, row, 0.05), image)
