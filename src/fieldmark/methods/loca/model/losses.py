"""The losses of LOCA: position cross-entropy, and clustering against a balanced teacher (with me-max).

Source: Caron et al., "Location-Aware Self-Supervised Transformers for Semantic Segmentation", arXiv
2212.02400, and the released training step. Means run over the pictures of all processes.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from fieldmark.engine.precision import full_precision
from fieldmark.runtime.distributed import gather

FLOOR = 1e-8  # beside the number of valid patches: none at all gives loss 0


def sinkhorn(scores: Tensor, iterations: int = 3) -> Tensor:
    """Balance assignments: divide by the column sums, then by the row sums, `iterations` times.

    The iteration is Sinkhorn's as Cuturi brought it to optimal transport (arXiv 1306.0895), and as SwAV uses it to
    balance clusters (Caron et al., arXiv 2006.09882); here as LOCA's release has it (Caron et al., arXiv
    2212.02400): it starts from probabilities, not from exp(score / eps), and the rows come last.
    `scores` (N, K), non-negative: rows are patches, columns prototypes; columns are summed over all processes.
    Rows of the result (N, K) sum to 1, column sums come close to N / K. A column without any mass stays empty.
    No gradient flows back. Raises ValueError for another rank, negative scores or a row without mass.

    >>> import torch
    >>> from fieldmark.methods.loca import sinkhorn
    >>> balanced = sinkhorn(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), iterations=20)
    >>> balanced  # two patches and two prototypes: each prototype gets one patch's worth
    tensor([[0.7101, 0.2899],
            [0.2899, 0.7101]])
    """
    full = full_precision(scores)
    if scores.ndim != 2 or bool((full < 0).any()) or bool((full.sum(1) <= 0).any()):
        raise ValueError("sinkhorn needs a matrix of non-negative scores with mass in every row")
    return balance(full, iterations)


@torch.no_grad()
def balance(scores: Tensor, iterations: int) -> Tensor:
    """Do what `sinkhorn` does for scores (N, K) that are known to fit: to check them is to wait for the device."""
    balanced = full_precision(scores)
    for step in range(iterations):
        columns = _total(balanced.sum(0))
        filled = torch.where(columns > 0, columns, 1.0)
        balanced = balanced.div_(filled) if step else balanced / filled  # the scores stay as they are
        balanced.div_(balanced.sum(1, keepdim=True))
    return balanced


def position_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of positions, its mean in nats over all valid patches of all queries and pictures.

    Caron et al., arXiv 2212.02400, and the released training step. `logits` (..., R) over the R reference patches,
    `targets` (...) long with -1 for a patch that lies outside the reference -> a scalar. Without any valid patch
    the loss is 0. The release averages per device and then over devices; here the mean is over all valid patches,
    so that the number of processes does not matter. Raises IndexError for a target of R or more and ValueError for
    shapes that do not fit.

    >>> import torch
    >>> from fieldmark.methods.loca import position_loss
    >>> position_loss(torch.zeros(1, 3, 4), torch.tensor([[0, 3, -1]]))  # log 4: four positions, none preferred
    tensor(1.3863)
    """
    rows, wanted = full_precision(logits).flatten(0, -2), targets.flatten()
    summed = cross_entropy(rows, wanted, ignore_index=-1, reduction="sum")
    return _pooled(summed, (wanted >= 0).sum())


def feature_loss(scores: Tensor, targets: Tensor, valid: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cross-entropy with the teacher's assignments, and the negative entropy of the mean prediction (me-max).

    Caron et al., arXiv 2212.02400, and the released training step; me-max is that of MSN (Assran et al., arXiv
    2204.07141). `scores` (M, K) of the student's patches against the prototypes, divided here by `temperature`;
    `targets` (M, K), rows summing to 1; `valid` (M,) says which patches have a target. Returns two scalars in nats.
    The cross-entropy is a mean over valid patches (0 without any); the mean prediction runs over all patches, as in
    the release. Raises RuntimeError for shapes that do not fit.

    >>> import torch
    >>> from fieldmark.methods.loca import feature_loss
    >>> scores, targets = torch.zeros(2, 4), torch.eye(4)[:2]
    >>> feature_loss(scores, targets, torch.tensor([True, False]), temperature=0.1)  # log 4 and -log 4
    (tensor(1.3863), tensor(-1.3863))
    """
    predicted = log_softmax(full_precision(scores) / temperature, dim=1)
    summed = -(targets.to(predicted.dtype) * predicted).sum(1).mul(valid).sum()
    patches = _total(predicted.new_full((1,), float(len(predicted))))
    mean = _total(predicted.exp().sum(0)) / patches
    return _pooled(summed, valid.sum()), -torch.special.entr(mean).sum()


def _pooled(summed: Tensor, count: Tensor) -> Tensor:
    sums = _total(torch.stack([summed, count.to(summed.dtype)]))
    return sums[0] / (sums[1] + FLOOR)


def _total(values: Tensor) -> Tensor:
    """Add a vector over all processes; gradients flow back."""
    return gather(values[None]).sum(0)
