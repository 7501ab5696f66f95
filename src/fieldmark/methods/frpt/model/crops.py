"""Fixed prompts in place of the learned one: pictures cut to a box and brought to the network's size (Table 5).

The annotated box comes with the picture. The other box lies around what the frozen backbone responds to. The paper
takes a class activation map for it, without saying of which classifier; a backbone without one has the sum of its
channels, and the rule of Wei et al., "Selective Convolutional Descriptor Aggregation", arXiv 1604.04994.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from fieldmark.datasets.data.batches.boxed import MARGIN, BoxedStore
from fieldmark.engine.task import Task

Cut = Literal["none", "activation", "box"]


def with_boxes(task: Task) -> Task:
    """Return the task with every picture cut to the square around its annotated box.

    Raises UserError when no picture has one.
    """
    store = BoxedStore.of(task.store.folder, task.manifest)
    # Kept states and features are those of other pictures.
    states = replace(task.states, pictures=[task.states.pictures, "boxes"])
    return replace(task, store=store, states=states)


def activation_boxes(feature_map: Tensor) -> Tensor:
    """Feature maps (B, D, h, w) -> boxes (B, 4): left, top, right and bottom as fractions of the sides.

    A box lies around the largest connected region (diagonals too) of places whose channels sum up to more than the mean
    over all places; where no place does, it is the whole picture.
    """
    activations = feature_map.detach().sum(1).cpu().numpy()
    boxes = np.stack([_box_around(one > one.mean()) for one in activations.astype(np.float64)])
    return torch.from_numpy(boxes).to(feature_map.device, torch.float32)


def squares(boxes: Tensor) -> Tensor:
    """Boxes (B, 4) as fractions -> squares (B, 3): left, top and side, larger than the longer side by `MARGIN`.

    As with annotated boxes, a square is moved into the picture where it would reach beyond.
    """
    first, last = boxes[:, :2], boxes[:, 2:]
    side = ((last - first).amax(1, keepdim=True) * (1 + MARGIN)).clamp(max=1)
    start = torch.minimum(((first + last) / 2 - side / 2).clamp(min=0), 1 - side)
    return torch.cat([start, side], dim=1)


def cut_squares(images: Tensor, cuts: Tensor, side: int) -> Tensor:
    """Images (B, 3, H, W), float, and squares (B, 3) as fractions -> what lies in them, (B, 3, side, side)."""
    left, top, part = cuts.to(images.dtype).unbind(1)
    none = torch.zeros_like(part)
    # From [-1, 1] over the output to [-1, 1] over the picture.
    rows = [torch.stack([part, none, 2 * left + part - 1]), torch.stack([none, part, 2 * top + part - 1])]
    grid = affine_grid(torch.stack(rows).permute(2, 0, 1), [len(images), 3, side, side], align_corners=False)
    out: Tensor = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return out


def _box_around(above: np.ndarray) -> np.ndarray:
    """Return (4,) the box around the largest connected region of a map (h, w) of bools, as fractions."""
    from scipy.ndimage import (
        find_objects,
        label,
    )  # takes long to import: a variant without such a box does without

    if not above.any():
        return np.array([0.0, 0.0, 1.0, 1.0])
    regions, _ = label(above, structure=np.ones((3, 3)))
    largest = np.bincount(regions.flat)[1:].argmax()
    rows, columns = find_objects(regions)[largest]
    height, width = above.shape
    corners = [columns.start / width, rows.start / height, columns.stop / width, rows.stop / height]
    return np.array(corners)
