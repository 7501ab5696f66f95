"""What DVC knows of the pipeline: what each stage needs, and which stages are out of date."""

from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dvc.stage import Stage


class Pipeline(NamedTuple):
    """The stages by name, such as `train@irt`, each after those whose outputs it reads."""

    needs: Mapping[str, tuple[str, ...]]  # the stages whose outputs it reads
    stale: frozenset[str]  # changed, or after a changed one
    steps: Mapping[str, int]  # of training, as the stage's parameters say


def read_pipeline(folder: Path) -> Pipeline | None:
    """Return the pipeline of `folder`; None where DVC cannot read it: `dvc repro` then says why."""
    from dvc.exceptions import DvcException  # a second to import: a run of one `dvc repro` does without
    from dvc.repo import Repo

    from fieldmark.running.whole_files import whole_files

    try:
        with whole_files(), Repo(str(folder)) as repo, repo.lock:
            graph = repo.index.graph
            stages = {stage.name: stage for stage in repo.index.stages}
            needs = _sorted({name: [need.name for need in graph[stage]] for name, stage in stages.items()})
            return Pipeline(needs, _stale(needs, stages), {name: _steps(stages[name]) for name in needs})
    except DvcException:
        return None


def _sorted(needs: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(needs[name]) for name in TopologicalSorter(needs).static_order()}


def _stale(needs: Mapping[str, tuple[str, ...]], stages: Mapping[str, "Stage"]) -> frozenset[str]:
    """Return what has changed and what comes after it; only what stands on unchanged stages is looked at."""
    stale: set[str] = set()
    for name, before in needs.items():
        if not stale.isdisjoint(before) or stages[name].status(check_updates=False):
            stale.add(name)
    return frozenset(stale)


def _steps(stage: "Stage") -> int:
    from dvc.dependency import ParamsDependency

    named = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return sum(_steps_in(dep.read_params(flatten=False)) for dep in named)


def _steps_in(value: Any) -> int:
    """Return the sum of all `steps` in a nested mapping; passes count as a hundred steps, for lack of pictures."""
    if not isinstance(value, dict):
        return 0
    steps = value.get("steps")
    passes = value.get("passes")
    own = (steps if isinstance(steps, int) else 0) + (100 * passes if isinstance(passes, int | float) else 0)
    return round(own) + sum(map(_steps_in, value.values()))
