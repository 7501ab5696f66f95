"""Learning rates by hand."""

import math

import pytest

from fieldmark.engine.params import TrainParams
from fieldmark.engine.schedule import learning_rate


def rates(**changes: object) -> list[float]:
    params = TrainParams(**{"steps": 10, "lr": 1.0, **changes})
    return [learning_rate(params, step) for step in range(10)]


def test_schedules_by_hand() -> None:
    assert rates() == [1.0] * 10
    assert rates(warmup_steps=4)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = rates(schedule="cosine")
    assert cosine[0] == 1.0
    assert cosine[5] == pytest.approx(0.5)
    assert cosine == sorted(cosine, reverse=True)
    cycle = rates(schedule="onecycle")
    assert cycle[0] == pytest.approx(0.04)
    assert max(cycle) == cycle[3] == 1.0
    assert cycle[-1] == pytest.approx(0.5 * (1 + math.cos(math.pi * 6 / 7)))
    early = rates(schedule="onecycle", rise=0.1, final=0.5)
    assert early[:2] == [pytest.approx(0.04), 1.0]
    assert early[-1] == pytest.approx(0.5 + 0.5 * 0.5 * (1 + math.cos(math.pi * 8 / 9)))
    assert rates(schedule="cosine", warmup_steps=10)[-1] == 1.0
    drops = rates(schedule="drops", drop=0.5, drop_every=3, warmup_steps=2)
    assert drops == [0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_poly_is_segmenters_closed_form() -> None:
    """Segmenter's decay: (lr - min_lr) * (1 - step / steps) ** power + min_lr."""
    lr, lowest, steps = 1e-3, 1e-5, 160_000
    params = TrainParams(steps=steps, lr=lr, schedule="poly", power=0.9, final=lowest / lr)
    for step in (0, 1, 40_000, 80_000, 159_999):
        wanted = (lr - lowest) * (1 - step / steps) ** 0.9 + lowest
        assert learning_rate(params, step) == pytest.approx(wanted, rel=1e-12)
    straight = rates(schedule="poly", power=1.0)
    assert straight == pytest.approx([1 - step / 10 for step in range(10)])
    late = rates(schedule="poly", power=2.0, warmup_steps=4)
    assert late == pytest.approx([0.25, 0.5, 0.75, 1.0, *((1 - step / 6) ** 2 for step in range(6))])
    assert learning_rate(params, steps + 5) == pytest.approx(lowest)  # past the end it stays at the floor


@pytest.mark.parametrize("half", [{"schedule": "drops"}, {"drop_every": 3}])
def test_drops_need_an_interval_and_an_interval_needs_drops(half: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="drop_every go together"):
        TrainParams(**{"steps": 10, "lr": 1.0, **half})
