"""Which stages may run side by side."""

from pathlib import Path

import pytest
from support.pipeline import resolve

from fieldmark.base.blocks import read_yaml
from fieldmark.running.branches import Branch, Plan, planned
from fieldmark.running.graph import Pipeline, read_pipeline

# Two methods on one data set. The second reads sentences, which a score is made of as well.
NEEDS = {
    "check": (),
    "prepare@birds": ("check",),
    "describe@birds": ("prepare@birds",),
    "phrases@birds": ("prepare@birds",),
    "score@birds": ("phrases@birds",),
    "train@irt": ("prepare@birds",),
    "train@pma": ("prepare@birds", "phrases@birds"),
    "evaluate@irt": ("train@irt", "prepare@birds"),
    "evaluate@pma": ("train@pma",),
    "report": ("evaluate@irt", "evaluate@pma", "describe@birds"),
}
IRT = Branch("irt", ("train@irt", "evaluate@irt"))
PMA = Branch("pma", ("phrases@birds", "score@birds", "train@pma", "evaluate@pma"))


def pipeline(needs: dict[str, tuple[str, ...]], stale: set[str] | None = None, **steps: int) -> Pipeline:
    """A pipeline of which everything is out of date, or `stale`; with training steps by method."""
    wanted = {name: steps.get(name.partition("@")[2], 0) for name in needs}
    return Pipeline(needs, frozenset(needs if stale is None else stale), wanted)


def test_a_branch_has_what_one_method_alone_needs_and_what_hangs_on_that() -> None:
    shared, branches = planned(pipeline(NEEDS))
    assert shared == ("check", "prepare@birds")
    assert set(branches) == {IRT, PMA, Branch("others", ("describe@birds",))}


def test_the_longest_training_comes_first() -> None:
    assert [branch.name for branch in planned(pipeline(NEEDS, irt=10, pma=20)).branches][:2] == ["pma", "irt"]
    assert [branch.name for branch in planned(pipeline(NEEDS, irt=20, pma=10)).branches][:2] == ["irt", "pma"]


def test_only_what_is_out_of_date_is_planned() -> None:
    stale = {"evaluate@irt", "evaluate@pma", "report"}
    assert planned(pipeline(NEEDS, stale)) == Plan(
        (), (Branch("irt", ("evaluate@irt",)), Branch("pma", ("evaluate@pma",)))
    )
    assert planned(pipeline(NEEDS, {"report"})) == Plan((), ())


def test_what_a_second_method_starts_from_is_shared() -> None:
    needs = {**NEEDS, "train@irt": ("prepare@birds", "train@pma"), "evaluate@irt": ("train@irt",)}
    order = [*needs]
    order.remove("train@irt")
    order.insert(order.index("train@pma") + 1, "train@irt")
    shared, branches = planned(pipeline({name: needs[name] for name in order}))
    assert shared == ("check", "prepare@birds", "phrases@birds", "train@pma")
    assert Branch("irt", ("train@irt", "evaluate@irt")) in branches
    assert Branch("pma", ("evaluate@pma",)) in branches


@pytest.mark.parametrize("other", ["train@pma", "describe@birds"])
def test_what_comes_after_two_branches_is_left_for_the_end(other: str) -> None:
    needs = {**NEEDS, "compare": ("train@irt", other)}
    shared, branches = planned(pipeline(needs))
    assert "compare" not in {*shared, *(name for branch in branches for name in branch.stages)}


def test_without_methods_there_is_one_branch() -> None:
    needs = {"check": (), "report": ("check",)}
    assert planned(pipeline(needs)) == Plan((), (Branch("others", ("check", "report")),))


def test_in_the_real_pipeline_every_stage_finds_what_it_needs(tmp_path: Path) -> None:
    resolve(tmp_path)
    real = read_pipeline(tmp_path)
    assert real is not None
    assert real.stale == set(real.needs)
    shared, branches = planned(real)
    assert {branch.name for branch in branches} == {*read_yaml(tmp_path / "params.yaml")["methods"], "others"}
    for before, stages in [((), shared), *((shared, branch.stages) for branch in branches)]:
        for place, name in enumerate(stages):
            assert set(real.needs[name]) <= {*before, *stages[:place]}, name
    assert set(real.needs) - {*shared, *(name for branch in branches for name in branch.stages)} == {"report"}
