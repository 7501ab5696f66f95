"""What the student minimises. Source: Song et al., IEEE TIP 29, 2020, eq. 11; temperature as in Hinton et al.,
"Distilling the Knowledge in a Neural Network", arXiv 1503.02531.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax


def soft_cross_entropy(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Eq. 11: the mean over samples of -sum_k p_teacher(k) log p_student(k), from logits (B, C) of both.

    The teacher has no gradient. With a temperature other than 1 both are softened and the loss is multiplied
    by its square, which keeps the size of the gradient.
    """
    with torch.no_grad():
        target = (teacher.float() / temperature).softmax(1)
    soft = -(target * log_softmax(student.float() / temperature, 1)).sum(1).mean()
    return soft * temperature**2


def distillation_losses(
    student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, label_weight: float
) -> dict[str, Tensor]:
    """Return `soft`, `labels` where they have a weight, and their sum `loss`.

    With a `label_weight` of 0 the labels are not looked at, with one of 1 the teacher is not.
    """
    losses = {}
    if label_weight < 1:
        losses["soft"] = (1 - label_weight) * soft_cross_entropy(student, teacher, temperature)
    if label_weight > 0:
        losses["labels"] = label_weight * cross_entropy(student.float(), labels)
    return {**losses, "loss": torch.stack(list(losses.values())).sum()}
