"""Figures made of pictures: masks, features, and patches at their predicted positions."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from fieldmark.engine.task import Task
from fieldmark.figures.masks import coloured_labels, framed, label_key
from fieldmark.figures.sheets import Cell, picture_sheet
from fieldmark.methods.loca.evaluation.positions import Positions
from fieldmark.methods.loca.evaluation.probes import Dense
from fieldmark.methods.loca.evaluation.tuning import shown
from fieldmark.methods.loca.model.method import Loca
from fieldmark.protocols.pairs import Pairs
from fieldmark.protocols.seen import seen_picture

PICTURES = 5  # in the sheet of positions
BLUE, ORANGE, GREEN, RED = (0, 114, 178), (230, 130, 0), (19, 128, 74), (200, 50, 31)
DIM = 0.35  # brightness of what is not looked at
FEATURE_SIDE = 64
QUANTILES = (0.02, 0.98)

Pixels = NDArray[np.uint8]


def mask_sheet(path: Path, dense: Mapping[str, Dense], test: Pairs) -> None:
    """Write rows of picture, true mask, and each variant's mask; below them the key of the colours."""
    rows = []
    for number, index in enumerate(shown(test)):
        mask = test.mask(index)
        row = [Cell(_picture(test, index), "picture"), Cell(coloured_labels(mask), "true")]
        for name, scored in dense.items():
            row.append(Cell(coloured_labels(scored.masks[number]), name))
        rows.append(row)
    picture_sheet(path, [*rows, *label_key(test.task.store.mask_names, max(map(len, rows), default=1))])


def feature_sheet(path: Path, dense: Mapping[str, Dense], test: Pairs) -> None:
    """Write rows of picture and each variant's features in colour."""
    drawn = {name: principal_colours(scored.features) for name, scored in dense.items()}
    rows = [
        [Cell(_picture(test, index), "picture"), *(Cell(drawn[name][number], name) for name in dense)]
        for number, index in enumerate(shown(test))
    ]
    picture_sheet(path, rows)


def principal_colours(features: Tensor) -> Pixels:
    """Turn features (S, D, h, w) into pictures (S, 64, 64, 3): their first three components over all of them.

    Each component is stretched between its 2nd and 98th percentile; its largest weight is positive.
    """
    count, dim, rows, columns = features.shape
    patches = features.permute(0, 2, 3, 1).reshape(-1, dim).double()
    patches = patches - patches.mean(0)
    axes = torch.linalg.eigh(patches.T @ patches).eigenvectors.flip(1)[:, :3]
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    values = patches @ axes
    low, high = (torch.quantile(values, q, dim=0) for q in QUANTILES)
    stretched = ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1).float()
    small = stretched.view(count, rows, columns, -1).permute(0, 3, 1, 2)
    large = interpolate(small, (FEATURE_SIDE, FEATURE_SIDE), mode="nearest")
    pictures: Pixels = (large * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pictures


def position_sheet(path: Path, positions: Positions, model: Loca, task: Task) -> None:
    """Write a row per picture: boxes, reference, query, its patches at their true positions and where they were put."""
    patch = model.backbone.spec.stride
    rows = positions.rows[: min(PICTURES, len(positions.shown.correct))].tolist()
    pictures = [seen_picture(task, model.params.images, row) for row in rows]
    cells = [_position_cells(picture, positions, index, patch) for index, picture in enumerate(pictures)]
    picture_sheet(path, [list(row) for row in cells])


def _position_cells(picture: Pixels, positions: Positions, index: int, patch: int) -> Iterator[Cell]:
    views, predicted = positions.shown.views, positions.shown.predicted
    targets = views.focal.targets[:, index]
    query = int((targets >= 0).flatten(1).sum(1).argmax())  # the query that lies most within the reference
    reference, view = _pixels(views.reference.images[index]), _pixels(views.focal.images[query, index])
    true, put = targets[query].cpu().numpy(), predicted[query, index].cpu().numpy()
    right = int(((put == true) & (true >= 0)).sum())
    boxes = {BLUE: views.reference.boxes[index], ORANGE: views.focal.boxes[query, index]}
    yield Cell(framed(picture, {c: b.tolist() for c, b in boxes.items()}), "picture")
    yield Cell(_seen(reference, positions.shown.visible.cpu().numpy(), patch), "reference", "visible part")
    mirrored = bool(views.focal.flipped[query, index])
    yield Cell(view, "query", "mirrored" if mirrored else "")
    if mirrored:  # pasted as it stands in the picture
        view, true, put = view[:, ::-1], true[:, ::-1], put[:, ::-1]
    yield Cell(pasted(reference, view, true, true, patch), "true places")
    yield Cell(
        pasted(reference, view, put, true, patch), "predicted", f"{right} of {(true >= 0).sum()} right"
    )


def pasted(
    reference: Pixels, query: Pixels, indices: NDArray[np.int64], true: NDArray[np.int64], patch: int
) -> Pixels:
    """Paste the patches of a query (H, W, 3) onto the dimmed reference at the patches `indices` (rows, columns).

    Patches that lie outside the reference (-1 in `true`) are left out. A frame says whether the position is right.
    """
    sheet: Pixels = (reference * DIM).astype(np.uint8)
    across = reference.shape[1] // patch
    for row, column in np.argwhere(true >= 0):
        top, left = (int(value) * patch for value in divmod(int(indices[row, column]), across))
        piece = query[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        colour = GREEN if indices[row, column] == true[row, column] else RED
        sheet[top : top + patch, left : left + patch] = framed(
            piece, {colour: [0, 0, piece.shape[0], piece.shape[1]]}
        )
    return sheet


def _seen(reference: Pixels, visible: NDArray[np.int64], patch: int) -> Pixels:
    """Dim the patches of the reference that the position head could not look at."""
    sheet: Pixels = (reference * DIM).astype(np.uint8)
    across = reference.shape[1] // patch
    for index in visible.tolist():
        top, left = (value * patch for value in divmod(index, across))
        sheet[top : top + patch, left : left + patch] = reference[top : top + patch, left : left + patch]
    return sheet


def _picture(pairs: Pairs, index: int) -> Pixels:
    return pairs.task.store[int(pairs.subset.rows[index])]


def _pixels(image: Tensor) -> Pixels:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    pixels: Pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels
