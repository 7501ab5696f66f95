"""How well positions are predicted: while training, and on pictures that training has not seen."""

from dataclasses import dataclass

from torch import Tensor

from fieldmark.methods.loca.model.collapse import feature_spread
from fieldmark.methods.loca.model.network import Chosen
from fieldmark.methods.loca.model.views import Views


@dataclass(frozen=True)
class Pretext:
    """What the position head makes of pictures it has not seen."""

    views: Views
    visible: Tensor  # (V,) reference patches that it could look at
    predicted: Tensor  # (n, B, rows, columns) long, of the focal queries; n = 0 for `zhai`
    correct: Tensor  # (B,) patches of any query put at the right position
    valid: Tensor  # (B,) patches of any query that lie within the reference


def counted(logits: Tensor, targets: Tensor, views: Views, chosen: Chosen, single: bool) -> Pretext:
    """Count right answers: `logits` (B, N, R) and `targets` (B, N), -1 outside, of the queries' patches in order.

    `single` says that the patches are those of the reference itself, which has no queries.
    """
    predicted = logits.argmax(-1)
    correct, valid = (predicted == targets).sum(1), (targets >= 0).sum(1)
    shape = views.focal.targets.shape
    focal = predicted[:, len(chosen.kept) :]
    if single:
        return Pretext(views, chosen.visible, focal.new_empty(0, *shape[1:]), correct, valid)
    focal = focal.unflatten(1, (shape[0], -1)).transpose(0, 1).unflatten(2, shape[2:])
    return Pretext(views, chosen.visible, focal, correct, valid)


def measured(logits: Tensor, targets: Tensor, features: Tensor) -> dict[str, Tensor]:
    """Return the fraction of valid patches put at the right position, and the spread of the reference's features."""
    valid = targets >= 0
    correct = (logits.argmax(-1) == targets) & valid
    return {"accuracy": correct.sum() / valid.sum().clamp(min=1), "feature_std": feature_spread(features)}
