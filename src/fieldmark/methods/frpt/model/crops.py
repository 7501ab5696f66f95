"""Fixed prompts in place of the learned one: pictures cut to a box and brought to the network's size (Table 5).

The annotated box comes with the picture. The other box lies around what the frozen backbone responds to. The paper
takes a class activation map for it, without saying of which classifier; a backbone without one has the sum of its
channels, and the rule of Wei et al., "Selective Convolutional Descriptor Aggregation", arXiv 1604.04994.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, max_pool2d

from fieldmark.datasets.data.batches.boxed import MARGIN, BoxedStore
from fieldmark.engine.task import Task

Cut = Literal["none", "activation", "box"]
ROUNDING = 1e-6  # a place that differs from the mean by less, as a fraction of it, is no higher


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
    activations = feature_map.detach().sum(1).float()
    mean = activations.mean((1, 2), keepdim=True)
    above = activations - mean > ROUNDING * mean.abs()
    boxes = _boxes_around(_largest_regions(above))
    whole = (torch.arange(4, device=boxes.device) > 1).to(boxes.dtype)  # 0, 0, 1, 1
    return torch.where(above.any(2).any(1)[:, None], boxes, whole)


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


def _largest_regions(above: Tensor) -> Tensor:
    """Maps (B, h, w) of bools -> the largest connected region of each; of equal ones that which begins first.

    Each place takes the lowest number near it, as often as the longest way through a map may ask for: to look whether
    anything has changed would mean waiting for the device.
    """
    count, (height, width) = above[0].numel(), above.shape[1:]
    numbers = torch.arange(count, device=above.device, dtype=torch.float32).view(1, height, width)
    names = torch.where(above, numbers, float(count))
    for _ in range(count // 2 + max(height, width)):
        near = -max_pool2d(-names, kernel_size=3, stride=1, padding=1)
        names = torch.where(above, near, float(count))
    places = names.flatten(1).long()
    sizes = torch.zeros(len(above), count + 1, dtype=torch.int64, device=above.device)
    sizes = sizes.scatter_add(1, places, torch.ones_like(places))[:, :count]
    ranks = sizes * (count + 1) - torch.arange(count, device=above.device)
    return above & (names == ranks.argmax(1)[:, None, None])


def _boxes_around(regions: Tensor) -> Tensor:
    """Regions (B, h, w) -> boxes (B, 4) around them, as fractions of the sides."""
    edges = []
    for seen in (regions.any(1), regions.any(2)):  # columns, rows
        numbers = torch.arange(seen.shape[1], device=seen.device, dtype=torch.float32)
        first = torch.where(seen, numbers, float(seen.shape[1])).amin(1)
        last = torch.where(seen, numbers, -1.0).amax(1) + 1
        edges.append(torch.stack([first, last]) / seen.shape[1])
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], dim=1)
