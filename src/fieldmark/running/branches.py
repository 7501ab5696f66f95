"""Which stages of a pipeline can run side by side."""

from collections.abc import Mapping
from typing import NamedTuple

from fieldmark.running.graph import Pipeline


class Branch(NamedTuple):
    """Stages that run one after another, in this order, once the branches that it needs have ended."""

    stages: tuple[str, ...]
    needs: frozenset[str]  # the names of other branches

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
    """
    needs = _direct(
        {
            name: set(pipeline.needs[name]) & pipeline.stale
            for name in pipeline.needs
            if name in pipeline.stale
        }
    )
    after = {name: [other for other in needs if name in needs[other]] for name in needs}
    first: dict[str, str] = {}  # the first stage of the branch that a stage belongs to
    for name, before in needs.items():
        goes_on = len(before) == 1 and len(after[next(iter(before))]) == 1
        first[name] = first[next(iter(before))] if goes_on else name
    ahead = _ahead(after, pipeline.steps)
    branches = [
        Branch(
            tuple(name for name in needs if first[name] == head),
            frozenset(first[need] for need in needs[head]),
        )
        for head in needs
        if first[head] == head
    ]
    return tuple(sorted(branches, key=lambda branch: ahead[branch.name], reverse=True))


def _direct(needs: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return for each stage the needs that none of its other needs has, directly or over others."""
    all_needs: dict[str, set[str]] = {}
    for name, before in needs.items():
        all_needs[name] = before.union(*(all_needs[need] for need in before))
    return {name: before.difference(*(all_needs[need] for need in before)) for name, before in needs.items()}


def _ahead(after: Mapping[str, list[str]], steps: Mapping[str, int]) -> dict[str, int]:
    """Return the training steps of each stage and of the longest way that begins after it."""
    ahead: dict[str, int] = {}
    for name in reversed(list(after)):
        ahead[name] = steps[name] + max((ahead[other] for other in after[name]), default=0)
    return ahead
