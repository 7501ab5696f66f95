"""Which stages of a pipeline can run side by side: each method has a branch of its own."""

from collections.abc import Mapping
from typing import NamedTuple

from fieldmark.running.graph import Pipeline

GOAL = "evaluate@"  # a branch leads to one of these
SHARED, OTHERS, LAST = "shared", "others", "last"


class Branch(NamedTuple):
    """Stages that run one after another, in this order, while other branches run."""

    name: str  # of the method; `others` for stages that are part of no method
    stages: tuple[str, ...]


class Plan(NamedTuple):
    """First the shared stages, then the branches side by side; what is in neither comes last."""

    shared: tuple[str, ...]
    branches: tuple[Branch, ...]


def planned(pipeline: Pipeline) -> Plan:
    """Return what is out of date as shared stages and branches; that with the most training steps comes first.

    What leads to two goals is shared. What leads to one belongs to its branch, and so does what comes after stages
    of that branch alone. What comes after shared stages alone is one more branch, `others`.
    """
    places = _places(pipeline.needs)
    groups: dict[str, list[str]] = {}
    for name in pipeline.needs:
        if name in pipeline.stale:
            groups.setdefault(places[name], []).append(name)
    shared = tuple(groups.pop(SHARED, ()))
    groups.pop(LAST, None)
    branches = [Branch(place.removeprefix(GOAL), tuple(names)) for place, names in groups.items()]
    branches.sort(key=lambda branch: sum(pipeline.steps[name] for name in branch.stages), reverse=True)
    return Plan(shared, tuple(branches))


def _places(needs: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return where each stage belongs: shared, others, last, or the goal of its branch."""
    goals = _goals(needs)
    places: dict[str, str] = {}
    for name, before in needs.items():
        if goals[name]:
            places[name] = SHARED if len(goals[name]) > 1 else next(iter(goals[name]))
        else:
            near = {places[need] for need in before} - {SHARED} or {OTHERS}
            places[name] = near.pop() if len(near) == 1 else LAST
    return places


def _goals(needs: Mapping[str, tuple[str, ...]]) -> dict[str, set[str]]:
    """Return the goals to which each stage leads; a goal leads to itself."""
    goals: dict[str, set[str]] = {name: {name} if name.startswith(GOAL) else set() for name in needs}
    for name in reversed(list(needs)):
        for need in needs[name]:
            goals[need] |= goals[name]
    return goals
