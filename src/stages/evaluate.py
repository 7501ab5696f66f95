"""Score every trained variant, arm and student of a method, on its own test pictures or on those of `transfer`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from _stage import run
from _task import MODELS, open_judged, open_task

from fieldmark.base.errors import UserError
from fieldmark.base.files import write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.method import MethodParams
from fieldmark.contract.registry import load_evaluation, load_method
from fieldmark.contract.variants import (
    ARMS,
    AnyMethod,
    load_arms,
    load_students,
    load_variants,
    output_folder,
)
from fieldmark.engine.task import Task
from fieldmark.engine.wiring import Wiring, read_transfer, read_wiring
from fieldmark.results.claims import jointly
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, MethodResult, SavedModels
from fieldmark.runtime.distributed import first_process
from fieldmark.runtime.processes import start_scoring

REPORTS = Path("reports")
TRANSFER = "transfer"


def main(what: str, configuration: Configuration) -> None:
    section, _, name = what.rpartition("/")
    if section not in ("", TRANSFER):
        raise UserError(f"'{what}' cannot be evaluated; write a method, or {TRANSFER}/NAME")
    (transferred if section else own)(name, configuration)


def own(name: str, configuration: Configuration) -> None:
    """Score a method on the split that it was trained on."""
    wiring = read_wiring(configuration, name)
    params = configuration.method_block(name, load_method(name).Params)
    task = open_task(configuration, f"evaluate@{name}", wiring, params, name)
    task = replace(task, judged=open_judged(configuration, name, params))
    folders = {kind: MODELS / name / kind for kind in ("variants", "students", ARMS)}
    groups = {"variants": load_variants(name, params, folders["variants"])}
    if name in configuration.section("distill"):
        groups["students"] = load_students(folders["students"])
    groups[ARMS] = load_arms(configuration, name, folders[ARMS])
    models = {key: found for group in groups.values() for key, found in group.items()}
    saved = {
        key: saved_models(folders[kind] / key, found)
        for kind, group in groups.items()
        for key, found in group.items()
    }
    write(name, name, wiring, params, task, models, saved)


def transferred(name: str, configuration: Configuration) -> None:
    """Score what a method has trained on another split."""
    item, wiring = read_transfer(configuration, name)
    params = configuration.method_block(item.method, load_method(item.method).Params)
    place = f"{TRANSFER}/{name}"
    task = open_task(configuration, f"transfer@{item.method}", wiring, params, place)
    task = task.with_split(task.split[task.split["role"] != "train"])  # nothing of it was trained on
    models = load_variants(item.method, params, MODELS / item.method / "variants")
    models |= load_arms(configuration, item.method, MODELS / item.method / ARMS)
    write(item.method, place, wiring, params, task, models, {})


def saved_models(folder: Path, models: Sequence[AnyMethod]) -> SavedModels:
    """Say where the models of a variant lie, for their card."""
    seeds = tuple(model.params.seed for model in models)
    return SavedModels(folder=folder.as_posix(), seeds=seeds, steps=models[0].params.train.steps)


def write(
    method: str,
    place: str,
    wiring: Wiring,
    params: MethodParams,
    task: Task,
    models: Mapping[str, Sequence[AnyMethod]],
    saved: Mapping[str, SavedModels],
) -> None:
    """Score models and write what the report reads, below reports/*/`place`.

    With several devices a process for each scores all, of which the pictures are shared, and the first one writes.
    """
    start_scoring(task.runtime)
    with output_folder(REPORTS / "figures" / place) as folder:
        figures = FigureFolder(folder, remark(len(params.seeds)))
        evaluation: Evaluation = load_evaluation(method)(models, params, task, figures)
        figures.write_index()
    if not first_process():
        return
    evaluation = evaluation.model_copy(update={"claims": jointly(evaluation.claims)})
    result = MethodResult(
        method=method,
        precision=precision(models),
        models=dict(saved),
        **wiring.model_dump(),
        **evaluation.model_dump(),
    )
    write_json(REPORTS / f"results/{place}.json", result.model_dump(mode="json"))
    write_json(REPORTS / f"metrics/{place}.json", evaluation.metric_values)


def remark(seeds: int) -> str:
    """Say in every caption that figures show one seed of several."""
    return f"Of the first of {seeds} seeds." if seeds > 1 else ""


def precision(models: Mapping[str, Sequence[AnyMethod]]) -> str:
    """Name the precision in which the models were trained; both, where it was not the same for all."""
    found = {model.precision for by_seed in models.values() for model in by_seed if model.precision}
    return " and ".join(sorted(found))


if __name__ == "__main__":
    run(main, __doc__ or "", "a method of params.yaml, such as irt, or transfer/NAME")
