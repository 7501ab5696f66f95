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


@pytest.mark.parametrize("half", [{"schedule": "drops"}, {"drop_every": 3}])
def test_drops_need_an_interval_and_an_interval_needs_drops(half: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="drops goes together"):
        TrainParams(**{"steps": 10, "lr": 1.0, **half})
