"""The losses of LOCA: position cross-entropy, and clustering against a balanced teacher (with me-max).

Source: Caron et al., "Location-Aware Self-Supervised Transformers for Semantic Segmentation", arXiv
2212.02400, and the released training step. Means run over the pictures of all processes.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from fieldmark.runtime.distributed import gather

FLOOR = 1e-8  # beside the number of valid patches: none at all gives loss 0


def sinkhorn(scores: Tensor, iterations: int = 3) -> Tensor:
    """Balance assignments: divide by the column sums, then by the row sums, `iterations` times.

    `scores` (N, K), non-negative: rows are patches, columns prototypes; columns are summed over all processes.
    Rows of the result sum to 1, column sums come close to N / K. A column without any mass stays empty.
    No gradient flows back. Raises ValueError for negative scores or a row without mass.
    """
    with torch.no_grad():
        balanced = _full(scores)
        if scores.ndim != 2 or bool((balanced < 0).any()) or bool((balanced.sum(1) <= 0).any()):
            raise ValueError("sinkhorn needs a matrix of non-negative scores with mass in every row")
        for _ in range(iterations):
            columns = _total(balanced.sum(0))
            balanced = balanced / torch.where(columns > 0, columns, 1.0)
            balanced = balanced / balanced.sum(1, keepdim=True)
        return balanced


def position_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of positions, its mean over all valid patches of all queries and pictures.

    `logits` (..., R) over the R reference patches, `targets` (...) long with -1 for a patch that lies outside
    the reference. Without any valid patch the loss is 0. The release averages per device and then over
    devices; here the mean is over all valid patches, so that the number of processes does not matter.
    """
    rows, wanted = _full(logits).flatten(0, -2), targets.flatten()
    summed = cross_entropy(rows, wanted, ignore_index=-1, reduction="sum")
    return _pooled(summed, (wanted >= 0).sum())


def feature_loss(scores: Tensor, targets: Tensor, valid: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy with the teacher's assignments, and the negative entropy of the mean prediction (me-max).

    `scores` (M, K) of the student's patches against the prototypes, divided here by `temperature`; `targets`
    (M, K), rows summing to 1; `valid` (M,) says which patches have a target. The cross-entropy is a mean over
    valid patches (0 without any); the mean prediction runs over all patches, as in the release.
    """
    predicted = log_softmax(_full(scores) / temperature, dim=1)
    summed = -(targets.to(predicted.dtype) * predicted).sum(1).mul(valid).sum()
    patches = _total(predicted.new_tensor(float(len(predicted)))[None])
    mean = _total(predicted.exp().sum(0)) / patches
    return _pooled(summed, valid.sum()), -torch.special.entr(mean).sum()


def _pooled(summed: Tensor, count: Tensor) -> Tensor:
    sums = _total(torch.stack([summed, count.to(summed.dtype)]))
    return sums[0] / (sums[1] + FLOOR)


def _total(values: Tensor) -> Tensor:
    """Add a vector over all processes; gradients flow back."""
    return gather(values[None]).sum(0)


def _full(values: Tensor) -> Tensor:
    """Raise half precision to float32; float64 stays."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
