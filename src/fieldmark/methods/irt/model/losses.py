"""The losses of IRT: contrastive over pairs, and the KoLeo entropy regulariser.

Source: El-Nouby et al., "Training Vision Transformers for Image Retrieval", arXiv 2102.05644.
"""

import torch
from torch import Tensor

from fieldmark.engine.precision import full_precision
from fieldmark.methods.irt.model.pairs import Pairs, Reduction, cost


def contrastive_loss(
    embeddings: Tensor,
    labels: Tensor,
    reference: Tensor | None = None,
    reference_labels: Tensor | None = None,
    margin: float = 0.5,
    reduction: Reduction = "sum",
    own: Tensor | None = None,
) -> Tensor:
    """Eq. 1 of IRT: sum over pairs of [1 - s]+ (same class) or [s - margin]+ (other class), divided by N.

    El-Nouby et al., arXiv 2102.05644. s is the similarity of a pair, the product of its two embeddings.
    `embeddings` (N, D) and `reference` (M, D) have unit length; `labels` (N,), `reference_labels` (M,).
    Without a reference the batch is compared with itself, self pairs left out by index. With a reference
    (the memory), `own` (N,) says which row of it is the picture itself, and that pair is left out; -1 for none.
    A similarity near 1 does not tell: the key of a momentum encoder differs from the descriptor of the same picture.
    `margin` is beta, a similarity. Reduction "mean" is not the paper's: it averages the positive pairs that cost
    anything, and likewise the negative ones, and adds the two. That makes the same `lambda` of KoLeo weigh far more.
    Returns a scalar, in float32 for half precision. An empty batch has loss 0. Raises ValueError when shapes
    disagree or the reference has no labels.

    >>> import torch
    >>> from fieldmark.methods.irt import contrastive_loss
    >>> embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
    >>> contrastive_loss(embeddings, torch.tensor([0, 0, 1]))  # (2 * 1.0 + 2 * 0.3 + 2 * 0.1) / 3
    tensor(0.9333)
    """
    if reference is not None and reference_labels is None:
        raise ValueError("a reference needs reference_labels")
    others = embeddings if reference is None else reference
    other_labels = labels if reference_labels is None else reference_labels
    if len(labels) != len(embeddings) or len(other_labels) != len(others):
        raise ValueError("embeddings and labels differ in length")
    if len(embeddings) == 0:
        return embeddings.sum()
    if reference is None:
        own = torch.arange(len(labels), device=labels.device)
    with torch.autocast(embeddings.device.type, enabled=False):
        rows = (full_precision(embeddings), labels, full_precision(others), other_labels)
        return cost(Pairs(*rows, margin, own), reduction)


def tuple_loss(embeddings: Tensor, length: int, margin: float = 0.85, eps: float = 1e-6) -> Tensor:
    """Contrastive loss over tuples: half of D^2 for the positive, half of [margin - D]+^2 for each negative, summed.

    Radenovic et al., arXiv 1711.02512, eq. 5, which IRT follows on landmarks. D is the Euclidean distance to the query,
    so that `margin` is a distance: of 0.85, negatives with a similarity of at most 0.639 cost nothing. `embeddings`
    (T * length, D) of unit length hold tuples one after another: query, positive, negatives. The sum is over all pairs
    of the batch, divided by nothing, as in the authors' code. `eps` is added to every difference, so that equal rows
    have a gradient. Returns a scalar, in float32 for half precision; an empty batch has loss 0. Raises ValueError when
    the rows are no whole tuples.

    >>> import torch
    >>> from fieldmark.methods.irt.model.losses import tuple_loss
    >>> query, positive, negative = [1.0, 0.0], [0.0, 1.0], [0.8, 0.6]
    >>> tuple_loss(torch.tensor([query, positive, negative]), length=3)  # (2 + (0.85 - 0.6325)^2) / 2
    tensor(1.0237)
    """
    if length < 2 or len(embeddings) % length:
        raise ValueError(f"{len(embeddings)} rows are no tuples of {length}")
    with torch.autocast(embeddings.device.type, enabled=False):
        tuples = full_precision(embeddings).unflatten(0, (-1, length))
        difference = tuples[:, :1] - tuples[:, 1:] + eps
        distance = difference.square().sum(2).sqrt()
        pulled, pushed = distance[:, 0].square(), (margin - distance[:, 1:]).clamp(min=0.0).square()
        loss: Tensor = 0.5 * (pulled.sum() + pushed.sum())
        return loss


def koleo_loss(embeddings: Tensor, eps: float = 1e-8) -> Tensor:
    """Eq. 5 of IRT: mean of -log of the distance to the nearest other row; rows are normalised inside.

    El-Nouby et al., arXiv 2102.05644; the Kozachenko-Leonenko estimator of entropy is due to Sablayrolles et al.,
    arXiv 1806.03198. `embeddings` (N, D) of any length -> a scalar, in float32 for half precision. Neighbours are
    searched within the batch whatever the label, without gradient; the distance to them has a gradient. `eps` is
    added to distances, so that equal rows have a finite loss. Fewer than two rows have no neighbour: the loss is 0.
    Raises IndexError for a vector instead of a matrix.

    >>> import torch
    >>> from fieldmark.methods.irt import koleo_loss
    >>> koleo_loss(torch.eye(2))  # -log of the square root of 2
    tensor(-0.3466)
    """
    if len(embeddings) < 2:
        return embeddings.sum() * 0.0
    with torch.autocast(embeddings.device.type, enabled=False):
        rows = torch.nn.functional.normalize(full_precision(embeddings), dim=1, eps=eps)
        with torch.no_grad():
            similarity = rows @ rows.T
            similarity.fill_diagonal_(-torch.inf)
            nearest = similarity.argmax(dim=1)
        distance = torch.nn.functional.pairwise_distance(rows, rows[nearest], eps=eps)
        return -torch.log(distance + eps).mean()
