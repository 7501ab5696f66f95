"""Random crops of pictures that keep their shape: a picture and its mask stay together, whatever is drawn."""

import pytest
import torch

from fieldmark.base.blocks import parse
from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.transforms import WindowParams
from fieldmark.datasets.data.packed.store import NO_LABEL
from fieldmark.protocols.crops import MEAN_COLOUR, RandomWindow, scaled_shape

SIDE = 24
PLAIN = {"side": SIDE, "stride": SIDE, "resize": 32, "flip": False, "distort": False}
Pair = tuple[torch.Tensor, torch.Tensor]


def window(**changes: object) -> RandomWindow:
    return RandomWindow(parse(WindowParams, {**PLAIN, **changes}, "windows"))


def blocks(height: int = 40, width: int = 72) -> Pair:
    """Return a mask of labels 1 to 6 in blocks, and a picture whose red is 30 times the label."""
    rows, columns = torch.arange(height)[:, None] * 2 // height, torch.arange(width)[None] * 3 // width
    mask = (1 + rows * 3 + columns).to(torch.uint8)[None]
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    image[0] = 30 * mask[0]
    return image, mask


def drawn(transform: RandomWindow, pair: Pair, seed: int) -> Pair:
    torch.manual_seed(seed)
    out: Pair = transform(*pair)
    return out


@pytest.mark.parametrize(
    ("shape", "shorter", "wanted"),
    [
        ((100, 200), 50, (50, 100)),
        ((200, 100), 50, (100, 50)),
        ((100, 100), 77.4, (77, 77)),
        ((100, 800), 50, (25, 200)),  # longer than four times: the longer side decides
        ((3, 400), 8, (1, 32)),
    ],
)
def test_the_shape_is_kept(shape: tuple[int, int], shorter: float, wanted: tuple[int, int]) -> None:
    assert scaled_shape(*shape, shorter) == wanted


def test_mask_and_picture_are_cut_together_at_many_scales() -> None:
    labels, areas = set(), set()
    for seed in range(40):
        image, mask = drawn(window(flip=True), blocks(), seed)
        assert image.shape == (3, SIDE, SIDE)
        assert mask.shape == (1, SIDE, SIDE)
        assert image.dtype == mask.dtype == torch.uint8
        inside = mask[0] != NO_LABEL
        near = (image[0].float() / 30 - mask[0].float()).abs() < 0.5
        assert near[inside].float().mean() > 0.8  # edges are mixed in the picture, not in the mask
        outside = image[:, ~inside]
        assert torch.equal(outside, torch.tensor(MEAN_COLOUR, dtype=torch.uint8)[:, None].expand_as(outside))
        labels |= set(mask[0][inside].tolist())
        areas.add(int(inside.sum()))
    assert labels == set(range(1, 7))
    assert min(areas) < SIDE * SIDE == max(areas)  # some pictures are smaller than the crop


def test_scale_is_uniform_in_its_range() -> None:
    """Without resizing by more than one, what a small picture fills tells the scale that was drawn."""
    params = {"side": 64, "stride": 64, "resize": 32, "scale": [0.5, 2.0], "one_label": 1.0}
    heights = []
    for seed in range(200):
        _, mask = drawn(
            window(**params),
            (torch.zeros(3, 8, 16, dtype=torch.uint8), torch.zeros(1, 8, 16, dtype=torch.uint8)),
            seed,
        )
        heights.append(int((mask[0, :, 0] != NO_LABEL).sum()))
    assert min(heights) < 20
    assert max(heights) > 60
    assert sum(heights) / len(heights) == pytest.approx(40, abs=2)  # the mean of 16 and 64


def test_a_crop_of_one_label_is_drawn_again() -> None:
    """One block of ten has another label: drawn once, most crops show the other alone."""
    mask = torch.zeros(1, 32, 320, dtype=torch.uint8)
    mask[..., :32] = 1
    image = torch.zeros(3, 32, 320, dtype=torch.uint8)

    def mixed(one_label: float) -> int:
        transform = window(one_label=one_label, scale=[1.0, 1.0], resize=80)
        return sum(len(drawn(transform, (image, mask), seed)[1].unique()) > 1 for seed in range(60))

    assert mixed(1.0) < 12
    assert mixed(0.9) > 25
    nothing = torch.full_like(mask, NO_LABEL)  # never mixed: it ends all the same
    assert drawn(window(), (image, nothing), 0)[1].unique().tolist() == [NO_LABEL]


def test_distortion_changes_colours_alone_and_flips_mirror_both() -> None:
    plain, mask = drawn(window(scale=[1.0, 1.0]), blocks(), 3)
    changed = 0
    for seed in range(12):
        torch.manual_seed(seed)
        image = window(distort=True).distortion(plain)  # type: ignore[misc]
        assert image.shape == plain.shape
        changed += not torch.equal(image, plain)
    assert changed > 8  # all four are left out once in sixteen
    image, mask = blocks(SIDE, SIDE)
    transform = window(flip=True, scale=[1.0, 1.0], resize=SIDE, one_label=1.0)
    seen = [drawn(transform, (image, mask), seed) for seed in range(8)]
    mirrored = [torch.equal(shown, image.flip(-1)) for shown, _ in seen]
    assert {True, False} == set(mirrored)
    for (shown, cut), turned in zip(seen, mirrored, strict=True):
        assert torch.equal(cut, mask.flip(-1) if turned else mask)
        assert torch.equal(shown, image.flip(-1) if turned else image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stride": 25}, "leaves gaps"),
        ({"scale": [2.0, 0.5]}, "smaller one first"),
        ({"one_label": 0.0}, "one_label"),
        ({"strid": 4}, "did you mean 'stride'"),
    ],
)
def test_wrong_parameters_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        window(**change)
