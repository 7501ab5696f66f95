"""Figures 3 and 4: where a descriptor comes from, and the lines that show how pixels move."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.seeds import of_one_seed
from support.tiny import SIDE
from torch.nn.functional import normalize

from fieldmark.contract.variants import load_variants, train_variants
from fieldmark.engine.task import Task
from fieldmark.methods.frpt.evaluation import evaluate
from fieldmark.methods.frpt.evaluation.activations import contributions
from fieldmark.methods.frpt.evaluation.warps import LINES, with_grid
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.methods.frpt.model.params import FrptParams
from fieldmark.methods.frpt.model.prompt import Prompt
from fieldmark.results.figures import FigureFolder

Make = Callable[..., FrptParams]


def test_contributions_add_up_to_the_length_of_the_descriptor() -> None:
    maps = torch.randn(3, 5, 4, 6, dtype=torch.float64)
    found = contributions(maps)
    assert found.shape == (3, 4, 6)
    for picture, values in zip(maps, found, strict=True):
        mean = sum(picture[:, y, x] for y in range(4) for x in range(6)) / 24
        for y, x in ((0, 0), (3, 5), (2, 1)):
            assert float(values[y, x]) == pytest.approx(float(picture[:, y, x] @ normalize(mean, dim=0)))
        assert float(values.mean()) == pytest.approx(float(mean.norm()))


def test_what_is_pooled_is_what_is_drawn(params: Make, task: Task) -> None:
    images = torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8)
    for name in ("frozen", "DPP", "FRPT", "activation"):
        model = Frpt.build(Frpt.named(params(variants=[name]), name), task).eval()
        with torch.no_grad():
            values = contributions(model.final_map({"images": images}))
            assert torch.allclose(values.mean((1, 2)), model.pooled(images).norm(dim=1))


def test_without_a_warp_the_grid_is_even() -> None:
    lined = with_grid(torch.zeros(1, 3, 64, 48))
    down, across = (lined[0, 0, :, 1] > 0).nonzero()[:, 0], (lined[0, 0, 1] > 0).nonzero()[:, 0]
    assert down.tolist() == [64 * n // LINES for n in range(1, LINES)]
    assert across.tolist() == [48 * n // LINES for n in range(1, LINES)]
    large = with_grid(torch.zeros(1, 3, 448, 448))
    assert (large[0, 0, :, 1] > 0).sum() == 4 * (LINES - 1)


def test_the_lines_move_with_the_pixels(params: Make) -> None:
    """Where a spot is enlarged, the lines beside it are farther apart; away from it, they are closer."""
    prompt = Prompt(8, params(images={"side": 128}))
    spot = torch.full((1, 1, 31, 31), 1e-3)
    spot[..., 15, 15] = 1.0
    row = prompt(with_grid(torch.zeros(1, 3, 128, 128)), spot)[0, 0, 74]  # between two lines across
    lit = (row > 0.1).nonzero()[:, 0].float()
    starts = lit[torch.cat([torch.tensor([True]), lit.diff() > 1])]
    gaps = starts.diff()
    assert len(starts) == LINES - 1
    assert gaps[2:4].min() > 1.1 * 128 / LINES > gaps[[0, -1]].max()


@pytest.mark.parametrize(
    ("variants", "drawn"),
    [(["frozen", "DPP", "FRPT"], True), (["frozen", "FRPT"], True), (["CAH", "FRPT"], False)],
)
def test_the_figure_has_the_variants_that_there_are(
    params: Make, task: Task, figures: FigureFolder, variants: list[str], drawn: bool
) -> None:
    own = params(variants=variants)
    built = {variant.name: Frpt.build(variant, task) for variant in Frpt.variants(own)}
    evaluate(of_one_seed(built), own, task, figures)
    path = figures.folder / "activations.svg"
    assert path.exists() == drawn
    if drawn:
        written = path.read_text()
        assert all(f">{name}</text>" in written for name in variants)


def test_finer_pictures_are_drawn_as_the_network_sees_them(
    params: Make, task: Task, figures: FigureFolder
) -> None:
    own = params(variants=["frozen", "FRPT"], source={"side": 3 * SIDE})
    train_variants("frpt", own, task, Path("m"))
    evaluate(load_variants("frpt", own, Path("m")), own, task, figures)
    assert (figures.folder / "activations.svg").stat().st_size > 1000
