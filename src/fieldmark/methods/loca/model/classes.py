"""The baseline with labels: the same encoder learns the classes of the same pictures, in the same views."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import UserError
from fieldmark.engine.precision import full_precision
from fieldmark.engine.task import Task
from fieldmark.engine.trainable import Losses
from fieldmark.methods.loca.model.encoder import encode
from fieldmark.methods.loca.model.network import Chosen, Network
from fieldmark.methods.loca.model.views import Views


def class_losses(network: Network, views: Views, chosen: Chosen, labels: Tensor) -> Losses:
    """Cross-entropy of the mean patch features of both large views against the classes `labels` (B,)."""
    if network.classifier is None:
        raise RuntimeError("supervised has no classifier once it is trained")
    seen = [
        encode(network.backbone, view.images, branches=chosen.of_view(number)).mean(1)
        for number, view in enumerate((views.reference, views.random))
    ]
    logits = full_precision(network.classifier(torch.cat(seen)))
    loss = cross_entropy(logits, labels.repeat(len(seen)))
    return {"cross_entropy": loss, "loss": loss}


def count_classes(task: Task) -> int:
    """Return the number of classes of the training pictures. Raises UserError when they have none."""
    train = task.subset("train")
    if not len(train) or train.labels.min() < 0:
        raise UserError(
            "loca.variants: `supervised` learns classes, and the pictures of this split have none; "
            "leave it out, or compare with a backbone of judge.loca.backbones"
        )
    return len(train.class_names)
