"""What the loop asks of whatever is trained: its parameter groups, and which of its modules stay still."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from fieldmark.engine.params import TrainParams
from fieldmark.engine.trainable import Losses, Trainable, decay_groups


class Headed(Trainable):
    """A frozen trunk, a body at a tenth of the rate, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).requires_grad_(False)
        self.body, self.head = nn.Linear(2, 2), nn.Linear(2, 3, bias=False)

    def forward(self, batch: dict[str, Tensor]) -> Losses:
        raise NotImplementedError

    def rates(self) -> Iterable[tuple[nn.Module, float]]:
        return [(self.trunk, 0.0), (self.body, 0.1), (self.head, 1.0)]

    def frozen(self) -> Iterable[nn.Module]:
        return [self.trunk]


def test_matrices_decay_and_vectors_do_not() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    model.register_parameter("cls_token", nn.Parameter(torch.zeros(1, 1, 3)))
    groups = decay_groups(model, 0.1)
    assert [(g.weight_decay, len(g.params)) for g in groups] == [(0.1, 1), (0.0, 4)]


def test_every_module_has_the_rate_that_is_named_and_a_frozen_one_no_group() -> None:
    model = Headed()
    groups = model.parameter_groups(TrainParams(steps=1, lr=0.1, weight_decay=0.2))
    assert [(g.params, g.weight_decay, g.lr_scale) for g in groups] == [
        ([model.body.weight], 0.2, 0.1),
        ([model.body.bias], 0.0, 0.1),
        ([model.head.weight], 0.2, 1.0),
    ]


def test_frozen_modules_stay_in_eval_mode_and_others_follow() -> None:
    model = Headed()
    assert model.train() is model
    modes = {name: module.training for name, module in model.named_modules()}
    assert modes == {
        "": True,
        "trunk": False,
        "trunk.0": False,
        "trunk.1": False,
        "body": True,
        "head": True,
    }
    assert not any(module.training for module in model.eval().modules())
