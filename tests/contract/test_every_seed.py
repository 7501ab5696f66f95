"""Every method with two seeds: each is trained by itself, a killed run goes on, and both are in every number."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.wired import CONFIGURATION, METHODS, tiny, wired_task

from fieldmark.contract.method import Method, MethodParams
from fieldmark.contract.registry import load_evaluation, load_method
from fieldmark.contract.variants import load_variants, train_variants
from fieldmark.engine import loop
from fieldmark.engine.checkpoint import StateKey
from fieldmark.engine.loop import Stepper
from fieldmark.engine.task import Task
from fieldmark.engine.wiring import read_wiring
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, Measure

SEEDS = (0, 2)
STEPS, WINDOW = 4, 2
AnyMethod = Method[Any, Any]
# A variant that no seed changes, where there is one, and a trained one; LOCA's `random` is drawn and not trained.
VARIANTS = {
    "irt": ["O", "R"],
    "frpt": ["frozen", "FRPT"],
    "cprfl": ["random", "CPRFL"],
    "pma": ["vision", "PMA"],
    "loca": ["random", "LOCA"],
}
FIXED = {"O", "frozen"}


class KilledError(Exception):
    """Stands in for a killed process."""


def block_of(name: str, *seeds: int) -> MethodParams:
    changes = {"seeds": list(seeds), "variants": VARIANTS[name], "train": {"steps": STEPS}}
    return tiny(name, changes | ({"shots": []} if name == "frpt" else {}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "WINDOW", WINDOW)
    return tmp_path


def task_of(name: str, folder: Path) -> Task:
    task = wired_task(folder / "data", read_wiring(CONFIGURATION, name))
    return dataclasses.replace(task, manifest=task.manifest.assign(group=None, mask_row=-1))


def train(name: str, task: Task, states: Path, *seeds: int) -> Path:
    """Train the variants from these seeds, from the states that lie in a folder; return the folder of the models."""
    models = states / f"models {len(list(states.glob('models *')))}"
    train_variants(name, block_of(name, *seeds), dataclasses.replace(task, states=StateKey(states)), models)
    return models


def weights(models: Path) -> dict[str, bytes]:
    """The weights of every model by its variant and seed, such as R/0."""
    files = sorted(models.glob("*/*/*.safetensors"))
    return {str(file.parent.relative_to(models)): file.read_bytes() for file in files}


@pytest.mark.parametrize("name", METHODS)
def test_each_seed_is_a_model_of_its_own(name: str, folder: Path) -> None:
    task = task_of(name, folder)
    folders = train(name, task, folder / "both", *SEEDS), train(name, task, folder / "one", SEEDS[1])
    both, second = map(weights, folders)
    for variant, models in load_variants(name, block_of(name, *SEEDS), folders[0]).items():
        fixed, trained = variant in FIXED, models[0].variant.trained
        assert [model.params.seeds for model in models] == ([(0,)] if fixed else [(0,), (2,)])
        assert second[f"{variant}/2"] == both[f"{variant}/0" if fixed else f"{variant}/2"]
        assert fixed or both[f"{variant}/0"] != both[f"{variant}/2"]
        assert {model.precision is not None for model in models} == {trained}


@pytest.mark.parametrize("name", METHODS)
def test_what_no_seed_changes_is_said_to_be_fixed(name: str) -> None:
    for variant in load_method(name).variants(tiny(name)):
        assert not (variant.fixed and variant.trained)
        assert len(variant.by_seed()) == 1
    two = load_method(name).variants(block_of(name, *SEEDS))
    assert {variant.name for variant in two if variant.fixed} == FIXED & set(VARIANTS[name])


@pytest.mark.parametrize("name", METHODS)
def test_a_killed_run_goes_on_with_the_seed_where_it_was(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed in the third step of the second seed; that seed goes on from its state after two."""
    task = task_of(name, folder)
    whole = weights(train(name, task, folder / "whole", *SEEDS))
    variants = load_method(name).variants(block_of(name, *SEEDS))
    trained = sum(variant.trained for variant in variants)
    steps: list[int] = []
    set_rate = Stepper.set_rate

    def counted(stepper: Stepper, step: int) -> float:
        steps.append(step)
        if len(steps) == STEPS + WINDOW + 1:
            raise KilledError
        return set_rate(stepper, step)

    monkeypatch.setattr(Stepper, "set_rate", counted)
    with pytest.raises(KilledError):
        train(name, task, folder / "cut", *SEEDS)
    assert weights(train(name, task, folder / "cut", *SEEDS)) == whole
    first, others = STEPS + WINDOW + 1, 2 * (trained - 1)
    assert steps[first:] == [*range(WINDOW, STEPS), *(list(range(STEPS)) * others)]
    steps.clear()
    monkeypatch.setattr(
        Stepper, "set_rate", lambda stepper, step: steps.append(step) or set_rate(stepper, step)
    )
    train(name, task, folder / "cut", *SEEDS, 5)  # a further seed trains no finished one again
    assert steps == list(range(STEPS)) * trained


@pytest.mark.parametrize("name", METHODS)
def test_numbers_are_means_over_the_seeds(name: str, folder: Path) -> None:
    task = task_of(name, folder)
    models = load_variants(name, block_of(name, *SEEDS), train(name, task, folder / "both", *SEEDS))
    both = evaluated(name, task, models, folder / "figures", *SEEDS)
    alone = [
        evaluated(
            name, task, {key: [one[min(i, len(one) - 1)]] for key, one in models.items()}, folder / f"{i}", 0
        )
        for i in range(2)
    ]
    assert any("over 2 training seeds" in note for note in both.notes)
    for variant, *parts in zip(both.variants, *(single.variants for single in alone), strict=True):
        for key, measure in variant.measures.items():
            check(
                measure, [part.measures[key] for part in parts], fixed=variant.name in (*FIXED, "zero-shot")
            )
    for claim, *parts in zip(both.claims, *(single.claims for single in alone), strict=True):
        if claim.value is not None:
            assert claim.seeds == pytest.approx([part.value for part in parts])
            assert claim.value == pytest.approx(sum(claim.seeds) / 2)
            assert claim.low <= claim.value <= claim.high


def check(measure: Measure, alone: list[Measure], *, fixed: bool) -> None:
    values = [one.value for one in alone]
    assert measure.value == pytest.approx(sum(values) / 2)
    if fixed:
        assert measure == alone[0]
    elif measure.low is not None or values[0] != values[1]:
        assert measure.seeds == pytest.approx(values)
    if measure.low is not None and measure.high is not None:
        assert measure.low <= measure.value <= measure.high


def evaluated(
    name: str, task: Task, models: Mapping[str, list[AnyMethod]], figures: Path, *seeds: int
) -> Evaluation:
    figures.mkdir()
    result: Evaluation = load_evaluation(name)(models, block_of(name, *seeds), task, FigureFolder(figures))
    return result
