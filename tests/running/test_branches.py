"""Which stages may run side by side."""

from pathlib import Path

from support.pipeline import resolve

from fieldmark.running.branches import Branch, planned
from fieldmark.running.graph import Pipeline, read_pipeline

# Two methods on one data set. The second reads sentences, which a score is made of as well.
NEEDS = {
    "check": (),
    "download@birds": ("check",),
    "prepare@birds": ("download@birds",),
    "describe@birds": ("prepare@birds",),
    "phrases@birds": ("prepare@birds",),
    "score@birds": ("phrases@birds",),
    "train@irt": ("prepare@birds",),
    "train@pma": ("prepare@birds", "phrases@birds"),
    "evaluate@irt": ("train@irt", "prepare@birds"),
    "evaluate@pma": ("train@pma",),
    "report": ("evaluate@irt", "evaluate@pma", "describe@birds"),
}


def pipeline(needs: dict[str, tuple[str, ...]], stale: set[str] | None = None, **steps: int) -> Pipeline:
    """A pipeline of which everything is out of date, or `stale`; with training steps by method."""
    wanted = {name: steps.get(name.partition("@")[2], 0) for name in needs}
    return Pipeline(needs, frozenset(needs if stale is None else stale), wanted)


def branch(*stages: str, needs: tuple[str, ...] = (), alone: bool = False) -> Branch:
    return Branch(stages, frozenset(needs), alone)


def test_stages_of_which_each_needs_the_one_before_alone_are_one_branch() -> None:
    first = "check"
    assert set(planned(pipeline(NEEDS))) == {
        branch("check", "download@birds", "prepare@birds"),
        branch("describe@birds", needs=(first,)),
        branch("phrases@birds", needs=(first,)),
        branch("score@birds", needs=("phrases@birds",)),
        branch("train@irt", "evaluate@irt", needs=(first,)),
        branch("train@pma", "evaluate@pma", needs=("phrases@birds",)),
        branch("report", needs=("train@irt", "train@pma", "describe@birds")),
    }


def test_the_longest_way_comes_first_and_what_it_needs_before_it() -> None:
    names = [branch.label for branch in planned(pipeline(NEEDS, irt=10, pma=20))]
    assert names[:4] == ["birds", "birds", "pma", "irt"]
    names = [branch.label for branch in planned(pipeline(NEEDS, irt=20, pma=10))]
    assert names[:4] == ["birds", "irt", "birds", "pma"]


def test_a_branch_is_called_as_the_first_of_its_stages_that_has_an_item() -> None:
    assert branch("check", "download@birds", "prepare@birds").label == "birds"
    assert branch("train@irt", "transfer@others").label == "irt"
    assert branch("check").label == "check"
    assert branch("check", "report").label == "check"


def test_only_what_is_out_of_date_is_planned() -> None:
    stale = {"evaluate@irt", "evaluate@pma", "report"}
    assert set(planned(pipeline(NEEDS, stale))) == {
        branch("evaluate@irt"),
        branch("evaluate@pma"),
        branch("report", needs=("evaluate@irt", "evaluate@pma")),
    }
    assert planned(pipeline(NEEDS, {"report"})) == (branch("report"),)
    assert planned(pipeline(NEEDS, set())) == ()


def test_a_method_that_starts_from_another_one_waits_for_its_training_alone() -> None:
    needs = {name: NEEDS[name] for name in NEEDS if name != "report"}
    needs |= {"train@loca": ("train@irt",), "report": ("train@loca", "evaluate@irt")}
    branches = planned(pipeline(needs))
    assert branch("train@irt", needs=("check",)) in branches
    assert branch("train@loca", needs=("train@irt",)) in branches
    assert branch("evaluate@irt", needs=("train@irt",)) in branches
    assert branch("report", needs=("train@loca", "evaluate@irt")) in branches


ONE_METHOD = {
    "check": (),
    "prepare@birds": ("check",),
    "describe@birds": ("prepare@birds",),
    "pretrain@vit": ("prepare@birds",),
    "train@irt": ("pretrain@vit",),
    "evaluate@irt": ("train@irt",),
    "report": ("evaluate@irt", "describe@birds"),
}
TWO_METHODS = {name: before for name, before in ONE_METHOD.items() if name != "report"} | {
    "train@pma": ("pretrain@vit",),
    "report": ("evaluate@irt", "train@pma"),
}


def test_trainings_beside_which_none_can_run_are_alone() -> None:
    branches = planned(pipeline(ONE_METHOD, vit=5, irt=10))
    assert set(branches) == {
        branch("check", "prepare@birds"),
        branch("describe@birds", needs=("check",)),
        branch("pretrain@vit", "train@irt", "evaluate@irt", needs=("check",), alone=True),
        branch("report", needs=("pretrain@vit", "describe@birds")),
    }
    alone = {each.name for each in planned(pipeline(TWO_METHODS, vit=5, irt=10, pma=10)) if each.alone}
    assert alone == {"pretrain@vit"}
    assert not any(each.alone for each in planned(pipeline(TWO_METHODS)))


def test_what_is_up_to_date_changes_nothing_in_who_is_alone() -> None:
    """Else a training that is killed would go on with another number of threads than it began with."""
    stale = {"pretrain@vit", "train@irt", "evaluate@irt"}
    assert planned(pipeline(TWO_METHODS, stale, vit=5, irt=10, pma=10)) == (
        branch("pretrain@vit", alone=True),
        branch("train@irt", "evaluate@irt", needs=("pretrain@vit",)),
    )


def test_one_stage_after_another_is_one_branch() -> None:
    needs = {"check": (), "prepare": ("check",), "report": ("prepare", "check")}
    assert planned(pipeline(needs)) == (branch("check", "prepare", "report"),)


def test_in_the_real_pipeline_every_stage_finds_what_it_needs(tmp_path: Path) -> None:
    resolve(tmp_path)
    real = read_pipeline(tmp_path)
    assert real is not None
    assert real.stale == set(real.needs)
    branches = {branch.name: branch for branch in planned(real)}
    assert sorted(name for branch in branches.values() for name in branch.stages) == sorted(real.needs)
    for name, each in branches.items():
        before = _before(branches, name)
        for place, stage in enumerate(each.stages):
            assert set(real.needs[stage]) <= {*before, *each.stages[:place]}, stage
    assert "evaluate@loca" in branches["train@loca"].stages


def _before(branches: dict[str, Branch], name: str) -> set[str]:
    """The stages of all branches that one waits for, directly or over others."""
    near = branches[name].needs
    return {stage for need in near for stage in branches[need].stages}.union(
        *(_before(branches, need) for need in near)
    )
