"""Losses at the sizes of the papers, beside what is used otherwise: equal values first, then forward and backward."""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.losses import ContrastiveLoss, CrossBatchMemory
from torch import Tensor
from torch.nn.functional import normalize

from fieldmark.benchmarks.timing import in_turn, table
from fieldmark.methods.irt.model.losses import contrastive_loss, koleo_loss
from fieldmark.methods.irt.model.memory import MemoryBank
from fieldmark.methods.irt.model.pairs import Reduction
from fieldmark.methods.loca.model.losses import sinkhorn

ROUNDS = 7
DIM = 384  # of DeiT-S
REMEMBERED, CLASSES = 59551, 11318  # training pictures and classes of Stanford Online Products
BATCHES = (64, 256)
PATCHES, PROTOTYPES = 4096, 4096  # of LOCA
RTOL, ATOL = 1e-5, 1e-6


def run() -> str:
    """Return the tables; lightly, no dependency of the project, is among the peers where it is installed."""
    by_batch = [measure(batch) for measure in (_memory, _koleo) for batch in BATCHES]
    missing = (
        [] if find_spec("lightly") else ["`pip install lightly` adds its KoLeo and Sinkhorn to these tables."]
    )
    return "\n\n".join([*by_batch, _sinkhorn(), *missing])


def _memory(batch: int) -> str:
    """Time the contrastive loss over a batch and all that a full memory holds, with the batch put into it."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(REMEMBERED) % CLASSES
    centres = torch.randn((CLASSES, DIM), generator=generator)
    rows = normalize(centres[labels] + torch.randn((REMEMBERED, DIM), generator=generator), dim=1)
    chosen = torch.arange(batch) // 4 + torch.arange(batch) % 4 * CLASSES  # four pictures of a class
    embeddings, asked = (rows[chosen] + 0.01).requires_grad_(), labels[chosen]
    bank, peer = MemoryBank(REMEMBERED, DIM), _peer(rows, labels)
    bank.enqueue(rows, labels)

    def ours(reduction: Reduction) -> Tensor:
        unit = normalize(embeddings, dim=1)  # as pytorch-metric-learning does
        own = bank.enqueue(unit, asked)
        return contrastive_loss(unit, asked, *bank.get(), 0.5, reduction, own)

    def bare() -> None:
        _ = (embeddings.detach() @ rows.T) @ rows

    _assert_alike(ours("mean"), peer(embeddings, asked), embeddings)
    actions = {
        "pytorch-metric-learning": lambda: peer(embeddings, asked).backward(),
        "contrastive_loss, mean": lambda: ours("mean").backward(),
        "contrastive_loss, sum (IRT)": lambda: ours("sum").backward(),
        "two bare matrix products": bare,
    }
    title = f"Contrastive loss, {batch} x {REMEMBERED} remembered x {DIM}, forward and backward"
    return table(title, in_turn(actions, ROUNDS), batch, "img")


def _peer(rows: Tensor, labels: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    loss = ContrastiveLoss(pos_margin=1.0, neg_margin=0.5, distance=CosineSimilarity())
    memory = CrossBatchMemory(loss, embedding_size=rows.shape[1], memory_size=len(rows))
    memory.add_to_memory(rows, labels, len(rows))
    called: Callable[[Tensor, Tensor], Tensor] = memory
    return called


def _assert_alike(ours: Tensor, theirs: Tensor, rows: Tensor) -> None:
    gradients = (torch.autograd.grad(loss, rows)[0] for loss in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=ATOL)
    torch.testing.assert_close(*gradients, rtol=RTOL, atol=ATOL)


def _koleo(batch: int) -> str:
    rows = torch.randn((batch, DIM), generator=torch.Generator().manual_seed(0)).requires_grad_()
    peers: dict[str, Callable[[Tensor], Tensor]] = {"by the distances of all pairs": _koleo_by_distances}
    if find_spec("lightly"):
        from lightly.loss import KoLeoLoss

        peers["lightly"] = KoLeoLoss()
    for peer in peers.values():
        _assert_alike(koleo_loss(rows), peer(rows), rows)
    losses = {**peers, "koleo_loss": koleo_loss}
    actions = {name: lambda loss=loss: loss(rows).backward() for name, loss in losses.items()}
    return table(f"KoLeo, {batch} x {DIM}, forward and backward", in_turn(actions, 10 * ROUNDS), batch, "img")


def _koleo_by_distances(rows: Tensor, eps: float = 1e-8) -> Tensor:
    """Return the loss by its definition, from the distances of all pairs."""
    unit = normalize(rows, dim=1)
    distances = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    others = ~torch.eye(len(unit), dtype=torch.bool)
    return -torch.log(distances.where(others, torch.inf).amin(dim=1) + eps).mean()


def _sinkhorn() -> str:
    scores = torch.randn((PATCHES, PROTOTYPES), generator=torch.Generator().manual_seed(0)).softmax(1)
    peers: dict[str, Callable[[], Tensor]] = {"by the definition": lambda: _sinkhorn_by_definition(scores)}
    if find_spec("lightly"):
        from lightly.loss.swav_loss import sinkhorn as theirs

        logits = 0.05 * scores.log()  # it starts from exp(logits / 0.05)
        peers["lightly, with its exp"] = lambda: theirs(logits)
    for peer in peers.values():
        torch.testing.assert_close(sinkhorn(scores), peer(), rtol=RTOL, atol=ATOL)
    actions = {**peers, "sinkhorn": lambda: sinkhorn(scores)}
    return table(f"Sinkhorn, {PATCHES} x {PROTOTYPES}, 3 times", in_turn(actions, ROUNDS), PATCHES, "patch")


def _sinkhorn_by_definition(scores: Tensor, iterations: int = 3) -> Tensor:
    """Return the scores with columns and rows divided by their sums in turn."""
    for _ in range(iterations):
        scores = scores / scores.sum(dim=0)
        scores = scores / scores.sum(dim=1, keepdim=True)
    return scores
