"""Losses that know how frequent classes are: slow references entry by entry, limits, gradients, degenerate classes."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, multilabel_soft_margin_loss

from fieldmark.methods.cprfl.model.balancing import (
    Balance,
    ClassBalancedLoss,
    DistributionBalancedLoss,
    MarginLoss,
    ReweightedLoss,
    WeightedLoss,
)
from fieldmark.methods.cprfl.model.criteria import make_criterion
from fieldmark.methods.cprfl.model.losses import asymmetric_loss, focal_loss
from fieldmark.methods.cprfl.model.names import LOSS_TITLES
from fieldmark.methods.cprfl.model.params import CprflParams

COUNTS = [2, 5, 9, 20, 31, 40, 64]
PICTURES = 100
PLAIN = Balance(neg_scale=1.0, init_bias=0.0, focal=0.0, factor=1.0)
PARAMS = CprflParams.model_validate({"images": {"side": 32}, "train": {"steps": 1, "lr": 0.1}})


def given(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets of five pictures and seven classes; each picture has a class."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn((5, 7), generator=generator, dtype=torch.float64)
    targets = (torch.rand((5, 7), generator=generator) < 0.3).to(dtype)
    targets[targets.sum(1) == 0, 0] = 1
    return logits.to(dtype), targets


def training(counts: list[int] = COUNTS, pictures: int = PICTURES) -> torch.Tensor:
    """Targets of training pictures, among which the classes occur so often."""
    return torch.tensor([[float(n < count) for count in counts] for n in range(pictures)])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def entries(logits: torch.Tensor, targets: torch.Tensor) -> list[tuple[float, float, int, list[float]]]:
    """Return (logit, target, class, targets of the picture) of every entry."""
    return [
        (x, y, c, wanted)
        for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True)
        for c, (x, y) in enumerate(zip(row, wanted, strict=True))
    ]


def slow_entry(x: float, y: float, n: float, weight: float, balance: Balance) -> float:
    """One entry: the shifted logit, a negative's scaled, its focal factor and its weight."""
    shifted = x - math.log(PICTURES / n - 1) * balance.init_bias / balance.neg_scale
    if y:
        pt = sigmoid(shifted)
    else:
        pt = 1 - sigmoid(balance.neg_scale * shifted)
        weight /= balance.neg_scale
    return -balance.factor * (1 - pt) ** balance.focal * weight * math.log(pt)


def slow_rebalanced(c: int, wanted: list[float], balance: Balance) -> float:
    """Eq. 5 and 6 of Wu et al.: what the class alone would ask for, by what the picture's classes ask for together."""
    rate = (1 / COUNTS[c]) / sum(y / n for y, n in zip(wanted, COUNTS, strict=True))
    return balance.alpha + sigmoid(balance.beta * (rate - balance.gamma))


def slow_weight(name: str, c: int, wanted: list[float], balance: Balance) -> float:
    if name == "RW":
        return COUNTS[c] ** -0.5 / (sum(n**-0.5 for n in COUNTS) / len(COUNTS))
    if name == "CB":  # effective number of Cui et al., with the released code's factor of 10 at decay 0.9
        return 10 * (1 - 0.9) / (1 - 0.9 ** COUNTS[c])
    return slow_rebalanced(c, wanted, balance)


SETTINGS = {  # by the name of the loss: what it is made of, in the words of the papers
    "RW": PLAIN,
    "CB": Balance(neg_scale=1.0, init_bias=0.0, focal=2.0, factor=2.0),
    "R-BCE": PLAIN,
    "DB-0": Balance(focal=0.0, factor=0.5),
    "DB": Balance(),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_weighted_loss_equals_a_loop_over_the_entries(name: str) -> None:
    logits, targets = given()
    loss, balance = make_criterion(name, PARAMS, training()), SETTINGS[name]
    total = sum(
        slow_entry(x, y, COUNTS[c], slow_weight(name, c, wanted, balance), balance)
        for x, y, c, wanted in entries(logits, targets)
    )
    assert float(loss(logits, targets)) == pytest.approx(total / logits.numel(), rel=1e-6)
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits.requires_grad_())


@pytest.mark.parametrize("balance", [Balance(gamma=0.3, neg_scale=5.0), Balance(0.2, 3.0, 0.1, 1.5, 1.0)])
def test_balanced_equals_a_loop_with_other_constants(balance: Balance) -> None:
    logits, targets = given()
    loss = DistributionBalancedLoss(torch.tensor(COUNTS), PICTURES, balance)
    total = sum(
        slow_entry(x, y, COUNTS[c], slow_rebalanced(c, wanted, balance), balance)
        for x, y, c, wanted in entries(logits, targets)
    )
    assert float(loss(logits, targets)) == pytest.approx(total / logits.numel())
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits.requires_grad_())


@pytest.mark.parametrize(("margin", "scale"), [(0.5, 1.0), (0.5, 30.0), (2.0, 0.5)])
def test_margins_equal_a_loop_over_the_entries(margin: float, scale: float) -> None:
    logits, targets = given()
    total = 0.0
    for x, y, c, _ in entries(logits, targets):
        held = scale * (x - margin * (2 / COUNTS[c]) ** 0.25) if y else -scale * x
        total += math.log1p(math.exp(-held)) if held > -30 else -held
    loss = MarginLoss(torch.tensor(COUNTS), margin, scale)
    assert float(loss(logits, targets)) == pytest.approx(total / logits.numel(), rel=1e-9)
    assert float(loss.margins[0]) == margin
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits.requires_grad_())


def test_without_what_is_special_each_is_a_known_loss() -> None:
    logits, targets = given()
    counts, entropy = torch.tensor(COUNTS), binary_cross_entropy_with_logits(logits, targets)
    alike = torch.full((7,), 12)
    torch.testing.assert_close(MarginLoss(counts, 0.0, 1.0)(logits, targets), entropy)
    torch.testing.assert_close(ReweightedLoss(alike, PICTURES, PLAIN)(logits, targets), entropy)
    focal = Balance(neg_scale=1.0, init_bias=0.0, focal=2.0, factor=1.0)
    undecayed = ClassBalancedLoss(counts, PICTURES, focal, decay=0.0)
    torch.testing.assert_close(undecayed(logits, targets), focal_loss(logits, targets, 2.0))


def test_multi_label_soft_margin_is_binary_cross_entropy() -> None:
    """The paper's table has both, with other numbers: they are one loss."""
    logits, targets = given()
    loss = make_criterion("BCE", PARAMS, training())
    torch.testing.assert_close(loss(logits, targets), multilabel_soft_margin_loss(logits, targets))


def test_the_block_is_what_the_losses_are_made_of() -> None:
    logits, targets = given()
    names = {"BCE": binary_cross_entropy_with_logits, "focal": focal_loss, "ASL": asymmetric_loss}
    for name, function in names.items():
        assert float(make_criterion(name, PARAMS, training())(logits, targets)) == float(
            function(logits, targets)
        )
    changes = {
        "focal": {"focal_gamma": 0.5},
        "CB": {"class_balanced": {"decay": 0.99}},
        "LDAM": {"ldam": {"margin": 2.0}},
        "R-BCE": {"balance": {"gamma": 0.5}},
        "DB-0": {"balance": {"neg_scale": 5.0}},
        "DB": {"focal_gamma": 1.0},
        "ASL": {"asymmetric": {"clip": 0.3}},
    }
    for name, change in changes.items():
        other = CprflParams.model_validate({**PARAMS.model_dump(), **change})
        plain, changed = (make_criterion(name, block, training()) for block in (PARAMS, other))
        assert float(plain(logits, targets)) != float(changed(logits, targets))


@pytest.mark.parametrize("name", LOSS_TITLES)
@pytest.mark.parametrize("counts", [[0, 10, 3], [0, 0, 0], [1], [0], [10]])
def test_finite_for_classes_without_examples_and_for_one_class(name: str, counts: list[int]) -> None:
    loss = make_criterion(name, PARAMS, training(counts, 10))
    logits = (20 * torch.randn(4, len(counts), generator=torch.Generator().manual_seed(1))).requires_grad_()
    for targets in (torch.zeros(4, len(counts)), torch.ones(4, len(counts))):
        logits.grad = None
        value = loss(logits, targets)
        value.backward()
        assert torch.isfinite(value)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSS_TITLES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_double(name: str, dtype: torch.dtype) -> None:
    logits, targets = given()
    loss, rounded = make_criterion(name, PARAMS, training()), logits.to(dtype)
    torch.testing.assert_close(loss(rounded, targets).double(), loss(rounded.double(), targets))


def test_a_model_that_is_only_read_has_every_loss_without_pictures() -> None:
    for name in LOSS_TITLES:
        make_criterion(name, PARAMS, torch.zeros(0, 3))


def test_balanced_is_at_its_max_for_a_picture_without_any_class() -> None:
    loss = DistributionBalancedLoss(torch.tensor([0.0, 10.0, 3.0]), 10, Balance())
    torch.testing.assert_close(loss.weights(torch.zeros(1, 3))[0], torch.full((3,), 1.1))


def test_a_rare_class_weighs_more_in_a_picture_it_shares() -> None:
    loss = DistributionBalancedLoss(torch.tensor([4.0, 400.0]), 1000, Balance())
    rare, common = loss.weights(torch.ones(1, 2))[0].tolist()
    assert rare > 1.0 > 0.3 > common
    alone = loss.weights(torch.tensor([[0.0, 1.0]]))[0, 1]
    assert float(alone) > 1.0


@pytest.mark.parametrize(
    "loss",
    [
        ReweightedLoss(torch.tensor(COUNTS), PICTURES, PLAIN),
        ClassBalancedLoss(torch.tensor(COUNTS), PICTURES, PLAIN, 0.9),
    ],
)
def test_a_rare_class_weighs_more(loss: WeightedLoss) -> None:
    weights = loss.weights(torch.ones(1, 7)).tolist()
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 1.2 * weights[-1]


def test_a_class_in_no_picture_has_the_widest_margin_and_leaves_the_others_as_they_are() -> None:
    without, beside = (
        MarginLoss(torch.tensor([4, 64]), 0.5, 1.0),
        MarginLoss(torch.tensor([0, 4, 64]), 0.5, 1.0),
    )
    assert without.margins.tolist() == [0.5, 0.25]
    assert beside.margins.tolist() == [0.5, 0.5, 0.25]
