"""Which stages of a pipeline can run side by side."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from fieldmark.running.graph import Pipeline


class Branch(NamedTuple):
    """Stages that run one after another, in this order, once the branches that it needs have ended."""

    stages: tuple[str, ...]
    needs: frozenset[str]  # the names of other branches
    alone: bool = False  # trainings, beside which no other of the whole pipeline can run

    @property
    def name(self) -> str:
        """The first stage: no other branch has it."""
        return self.stages[0]

    @property
    def label(self) -> str:
        """What its lines begin with: the item of the first stage that has one, which for a method is the method."""
        items = (stage.partition("@")[2] for stage in self.stages)
        return next(filter(None, items), self.name)


def planned(pipeline: Pipeline) -> tuple[Branch, ...]:
    """Return what is out of date as branches; that with the most training steps on its way to the end comes first.

    A stage goes on in the branch of the one that it needs, if it needs one alone and nothing else needs that one. So
    a branch is as long as it can be (each is a process of DVC's, which takes a second to begin) and holds up nobody.
    Its stages are all `alone` or none is.
    """
    needs = _direct(
        {
            name: set(pipeline.needs[name]) & pipeline.stale
            for name in pipeline.needs
            if name in pipeline.stale
        }
    )
    after = {name: [other for other in needs if name in needs[other]] for name in needs}
    alone = _alone(pipeline)
    first: dict[str, str] = {}  # the first stage of the branch that a stage belongs to
    for name, before in needs.items():
        last = next(iter(before), name)
        goes_on = len(before) == len(after[last]) == 1 and (name in alone) == (last in alone)
        first[name] = first[last] if goes_on else name
    ahead = _ahead(after, pipeline.steps)
    branches = [
        Branch(
            tuple(name for name in needs if first[name] == head),
            frozenset(first[need] for need in needs[head]),
            head in alone,
        )
        for head in needs
        if first[head] == head
    ]
    return tuple(sorted(branches, key=lambda branch: ahead[branch.name], reverse=True))


def _alone(pipeline: Pipeline) -> frozenset[str]:
    """Return the stages with training steps that come before or after each other such stage: they have all processors.

    This is read from the whole pipeline, whatever of it is out of date, and not from what happens to run: the number
    of threads, and with it the last digits of a result, must not depend on when other stages end.
    """
    before = _all_needs(pipeline.needs)
    training = [name for name, steps in pipeline.steps.items() if steps]
    return frozenset(
        name
        for name in training
        if all(other == name or other in before[name] or name in before[other] for other in training)
    )


def _all_needs(needs: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Return for each stage all that it needs, directly or over others; `needs` has each after what it needs."""
    found: dict[str, set[str]] = {}
    for name, before in needs.items():
        found[name] = set(before).union(*(found[need] for need in before))
    return found


def _direct(needs: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return for each stage the needs that none of its other needs has, directly or over others."""
    all_needs = _all_needs(needs)
    return {name: before.difference(*(all_needs[need] for need in before)) for name, before in needs.items()}


def _ahead(after: Mapping[str, list[str]], steps: Mapping[str, int]) -> dict[str, int]:
    """Return the training steps of each stage and of the longest way that begins after it."""
    ahead: dict[str, int] = {}
    for name in reversed(list(after)):
        ahead[name] = steps[name] + max((ahead[other] for other in after[name]), default=0)
    return ahead
