"""What the prompt does to pictures: saliency and warp of queries and of what they retrieved."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from fieldmark.datasets.data.batches.transforms import evaluation_transform, to_tensor
from fieldmark.engine.task import Subset, Task
from fieldmark.evaluation.retrieval import RetrievalResults
from fieldmark.figures.sheets import Cell, picture_sheet, tinted
from fieldmark.methods.frpt.model.method import Frpt
from fieldmark.protocols.retrieval import Scored

OF_EACH = 3


def warp_sheet(path: Path, scored: Scored, model: Frpt, task: Task) -> None:
    """Write rows of query, saliency over it, its warp, and the same of its nearest neighbour."""
    rows = []
    for query in chosen_queries(scored.results):
        found = int(scored.results.neighbours[query, 0])
        correct = bool(scored.results.correct[query, 0])
        gallery = scored.gallery or scored.queries
        rows.append(
            [
                *_cells(model, task, scored.queries, query, None),
                *_cells(model, task, gallery, found, correct),
            ]
        )
    picture_sheet(path, rows)


def chosen_queries(results: RetrievalResults, of_each: int = OF_EACH) -> list[int]:
    """Choose queries whose nearest neighbour is right, then wrong ones, evenly from low average precision to high.

    A fixed rule, so that nobody picks what looks good: the middle of each of `of_each` equal parts.
    """
    if not results.neighbours.size:
        return []
    chosen: list[int] = []
    for right in (True, False):
        able = np.flatnonzero(results.valid & (results.correct[:, 0] == right))
        order = able[np.argsort(results.ap[able], kind="stable")]
        parts = min(of_each, len(order))
        chosen += [int(order[int((part + 0.5) * len(order) / parts)]) for part in range(parts)]
    return chosen


def _cells(model: Frpt, task: Task, subset: Subset, index: int, correct: bool | None) -> Iterator[Cell]:
    image = evaluation_transform(model.params.loaded)(to_tensor(task.store[int(subset.rows[index])]))
    with torch.inference_mode():
        saliency, warped = (
            out.cpu() for out in model.eval().prompted(image[None].to(model.backbone.mean.device))
        )
    picture = image.permute(1, 2, 0).numpy()
    peak = float(saliency.max()) * saliency.shape[-1] * saliency.shape[-2]
    name = str(subset.frame["class_name"].iloc[index])
    yield Cell(picture, name, "query" if correct is None else "nearest", correct)
    yield Cell(tinted(picture, saliency[0, 0].float().numpy()), "saliency", f"peak {peak:.0f} × mean")
    yield Cell((warped[0] * 255).round().byte().permute(1, 2, 0).numpy(), "warped")
