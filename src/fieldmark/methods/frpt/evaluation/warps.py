"""What the prompt does to pictures: saliency and warp of queries and of what they retrieved."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.arrays import Array
from fieldmark.evaluation.retrieval import RetrievalResults
from fieldmark.figures.chosen import evenly
from fieldmark.figures.sheets import Cell, picture_sheet, tinted
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.protocols.retrieval import Scored
from fieldmark.protocols.seen import seen_picture
from fieldmark.results.figures import FigureFolder

OF_EACH = 3
LINES = 8  # squares of the grid along a side
THICKNESS = 112  # pixels of a side for each pixel of a line's width
OPACITY = 0.7


def warp_figure(name: str, scored: Scored, model: Frpt, task: Task, figures: FigureFolder) -> None:
    """Draw rows of query, saliency over it, its warp, and the same of its nearest neighbour."""
    path = figures.new(
        "warps.svg",
        f"What the prompt shows the backbone, {name}",
        "Each picture, its saliency over it, and its warp with the lines of an even grid of the picture: a query, then "
        "its nearest neighbour. Three right ones and three wrong ones, chosen by rule from low to high average "
        "precision.",
        wide=True,
    )
    picture_sheet(path, [_row(scored, model, task, query) for query in chosen_queries(scored.results)])


def chosen_queries(results: RetrievalResults, of_each: int = OF_EACH) -> list[int]:
    """Choose queries whose nearest neighbour is right, then some where it is wrong; each evenly by average precision.

    A fixed rule, so that nobody picks what looks good: the middle of each of `of_each` equal parts.
    """
    if not results.neighbours.size:
        return []
    chosen: list[int] = []
    for right in (True, False):
        able = np.flatnonzero(results.valid & (results.correct[:, 0] == right))
        order = able[np.argsort(results.ap[able], kind="stable")]
        chosen += order[evenly(len(order), of_each)].tolist()
    return chosen


def with_grid(images: Tensor) -> Tensor:
    """Draw an even grid of white lines on pictures (B, 3, H, W), float: warped with them, it shows how pixels move."""
    down, across = (_on_line(length, images) for length in images.shape[2:])
    weight = OPACITY * torch.maximum(down[:, None], across[None, :])
    return (1 - weight) * images + weight


def _on_line(length: int, like: Tensor) -> Tensor:
    """Return (length,) 1 where a line crosses a side of so many pixels, else 0."""
    width = max(1, length // THICKNESS)
    marked = torch.zeros(length, device=like.device)
    for number in range(1, LINES):
        start = round(number * length / LINES) - width // 2
        marked[start : start + width] = 1
    return marked


def loaded_picture(task: Task, model: Frpt, row: int) -> tuple[Array, Tensor]:
    """Return a stored picture as `model` is given it: its pixels (H, W, 3) and the batch (1, 3, H, W), uint8."""
    picture = seen_picture(task, model.loaded, row)
    return picture, torch.from_numpy(picture).permute(2, 0, 1)[None].to(model.backbone.mean.device)


def to_pixels(images: Tensor) -> Array:
    """Return the first of images (B, 3, H, W), from 0 to 1, as pixels (H, W, 3)."""
    pixels: Array = (images[0].float().cpu() * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels


def _row(scored: Scored, model: Frpt, task: Task, query: int) -> list[Cell]:
    neighbour = int(scored.results.neighbours[query, 0])
    correct = bool(scored.results.correct[query, 0])
    gallery = scored.gallery or scored.queries
    return [
        *_cells(model, task, scored.queries, query, None),
        *_cells(model, task, gallery, neighbour, correct),
    ]


def _cells(model: Frpt, task: Task, subset: Subset, index: int, correct: bool | None) -> Iterator[Cell]:
    picture, images = loaded_picture(task, model, int(subset.rows[index]))
    prompt = model.eval().prompt
    if prompt is None:
        raise RuntimeError("this variant has no prompt")
    with torch.inference_mode():
        saliency, _ = model.prompted(images)
        warped = prompt(with_grid(images.float() / 255), saliency)
    peak = float(saliency.max()) * saliency.shape[-1] * saliency.shape[-2]
    name = str(subset.frame["class_name"].iloc[index])
    yield Cell(picture, name, "query" if correct is None else "nearest", correct)
    yield Cell(tinted(picture, saliency[0, 0].cpu().float().numpy()), "saliency", f"peak {peak:.0f} × mean")
    yield Cell(to_pixels(warped), "warped")
