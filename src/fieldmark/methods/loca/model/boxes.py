"""Where a whole query lies in the reference, as one box: the regression loss with which positions are compared.

The released data pipeline of LOCA (Caron et al., arXiv 2212.02400) gives the box of every query and says when it
counts; no trainer of it was released. The loss is that of UP-DETR (Dai et al., arXiv 2011.09094), which is DETR's
(Carion et al., arXiv 2005.12872, section 3.1 and appendix A.4). Each query knows which box is its own, so there is
nothing to match and no class to predict.
"""

import torch
from torch import Tensor

from fieldmark.engine.precision import full_precision
from fieldmark.runtime.distributed import gather

SMALLEST = 0.1  # of the reference's side: a query that covers no more of it has no box
DISTANCE_WEIGHT, OVERLAP_WEIGHT = 5.0, 2.0  # DETR's
FLOOR = 1e-8  # beside the number of boxes: none at all gives loss 0


def box_targets(reference: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
    """Return the part of each query that lies in the reference, and whether it counts.

    Both are boxes (..., 4) in the source picture: y, x, height, width. The result (..., 4) has the centre (y, x),
    height and width in units of the reference's height and width; it counts (...) when both its sides are above
    SMALLEST.
    """
    start, length = reference[..., :2], reference[..., 2:]
    # In whole pixels until the end: what is a tenth is then no more than a tenth on every device.
    low = torch.minimum((queries[..., :2] - start).clamp(min=0), length)
    high = torch.minimum((queries[..., :2] + queries[..., 2:] - start).clamp(min=0), length)
    side = (high - low) / length
    return torch.cat([low / length + side / 2, side], dim=-1), (side > SMALLEST).all(-1)


def overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return intersection over union of boxes (..., 4), and the generalised one: centre y, x, height, width.

    H. Rezatofighi et al., arXiv 1902.09630: of the smallest box around both, the fraction that neither covers is
    taken off. Boxes without area give 0 and -1.
    """
    (low, high), (other_low, other_high) = _corners(first), _corners(second)
    both = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0).prod(-1)
    around = (torch.maximum(high, other_high) - torch.minimum(low, other_low)).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - both
    tiny = torch.finfo(union.dtype).tiny
    plain = both / union.clamp(min=tiny)
    return plain, plain - (1 - union / around.clamp(min=tiny))


def box_losses(predicted: Tensor, wanted: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weighted distance, the weighted lack of generalised overlap, and (to read) the plain overlap.

    `predicted` and `wanted` are boxes (..., 4), `counts` (...) says which queries have one. Each is a mean over the
    boxes of all processes, and 0 without any. The distance is the sum of the absolute differences of the four numbers.
    """
    boxes, valid = full_precision(predicted), counts.float()
    plain, generalised = overlap(boxes, wanted)
    each = torch.stack([(boxes - wanted).abs().sum(-1), 1 - generalised, plain, torch.ones_like(plain)])
    sums = gather((each * valid).flatten(1).sum(1)[None]).sum(0)
    distance, lack, overlapping = sums[:3] / (sums[3] + FLOOR)
    return DISTANCE_WEIGHT * distance, OVERLAP_WEIGHT * lack, overlapping.detach()


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return centre - half, centre + half
