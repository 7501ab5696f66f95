"""Position targets against nearest resampling of an index mask, pixel by pixel."""

import pytest
import torch

from fieldmark.methods.loca import position_targets

SOURCE = (150, 130)


def resized(mask: list[list[int]], height: int, width: int) -> list[list[int]]:
    """Nearest resampling with half-pixel centres, by loops."""
    rows, columns = len(mask), len(mask[0])
    return [
        [mask[min(int((y + 0.5) * rows / height), rows - 1)][min(int((x + 0.5) * columns / width), columns - 1)]
         for x in range(width)]
        for y in range(height)
    ]  # fmt: skip


def by_resampling(
    reference: tuple[int, ...], query: tuple[int, ...], grid: int, own: int, size: int | None, flip: bool
) -> torch.Tensor:
    numbered = [[own * row + column for column in range(own)] for row in range(own)]
    y, x, height, width = reference
    source = [[-1] * SOURCE[1] for _ in range(SOURCE[0])]
    for r, line in enumerate(resized(numbered, height, width)):
        source[y + r][x : x + width] = line
    y, x, height, width = query
    mask = [line[x : x + width] for line in source[y : y + height]]
    if size:
        mask = resized(mask, size, size)
    mask = resized(mask, grid, grid)
    return torch.tensor([line[::-1] for line in mask] if flip else mask)


def random_box(generator: torch.Generator, least: int) -> tuple[int, ...]:
    height, width = (int(torch.randint(least, side + 1, (), generator=generator)) for side in SOURCE)
    y = int(torch.randint(SOURCE[0] - height + 1, (), generator=generator))
    x = int(torch.randint(SOURCE[1] - width + 1, (), generator=generator))
    return y, x, height, width


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("grid", "own", "size"), [(6, 14, 96), (14, 14, 224), (4, 8, None), (3, 5, 24)])
def test_arithmetic_equals_resampling_a_mask(seed: int, grid: int, own: int, size: int | None) -> None:
    generator = torch.Generator().manual_seed(seed)
    reference, query, flip = random_box(generator, 40), random_box(generator, 9), bool(seed % 2)
    got = position_targets(reference, query, grid, flip, reference_grid=own, query_size=size)
    assert got.dtype == torch.long
    assert torch.equal(got, by_resampling(reference, query, grid, own, size, flip))


def test_the_same_box_gives_every_patch_itself_and_a_flip_mirrors() -> None:
    box, numbered = (3, 5, 112, 98), torch.arange(196).view(14, 14)
    assert torch.equal(position_targets(box, box, (14, 14), False), numbered)
    assert torch.equal(position_targets(box, box, (14, 14), True), numbered.flip(1))


def test_boxes_that_do_not_meet_have_no_targets() -> None:
    assert (position_targets((0, 0, 20, 20), (20, 0, 20, 20), 4, False) == -1).all()
    assert (position_targets((30, 30, 20, 20), (0, 0, 29, 29), 4, True) == -1).all()


def test_rectangular_grids_by_hand() -> None:
    got = position_targets((0, 0, 20, 40), (10, 20, 10, 40), (1, 4), False, reference_grid=(2, 4))
    assert got.tolist() == [[6, 7, -1, -1]]
    flipped = position_targets((0, 0, 20, 40), (10, 20, 10, 40), (1, 4), True, reference_grid=(2, 4))
    assert flipped.tolist() == [[-1, -1, 7, 6]]


def test_fractions_are_continuous_and_agree_with_large_pixel_boxes() -> None:
    reference, query = (0.1, 0.2, 0.6, 0.7), (0.3, 0.1, 0.5, 0.5)
    scaled = [[round(100_000 * value) for value in box] for box in (reference, query)]
    assert torch.equal(
        position_targets(reference, query, 6, True, reference_grid=14),
        position_targets(*scaled, 6, True, reference_grid=14),
    )


def test_many_boxes_at_once_equal_one_after_another() -> None:
    generator = torch.Generator().manual_seed(5)
    references, queries = ([random_box(generator, 30) for _ in range(6)] for _ in range(2))
    flips = torch.tensor([True, False, True, True, False, False])
    got = position_targets(torch.tensor(references), torch.tensor(queries), 5, flips)
    alone = [position_targets(r, q, 5, bool(f)) for r, q, f in zip(references, queries, flips, strict=True)]
    assert torch.equal(got, torch.stack(alone))
