"""Score every trained variant, arm and student of a method on its test pictures; draw figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from _stage import run
from _task import MODELS, open_task

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import load_evaluation, load_method
from fieldmark.contract.variants import ARMS, AnyMethod, load_arms, load_students, load_variants
from fieldmark.engine.wiring import read_wiring
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import Evaluation, MethodResult

REPORTS = Path("reports")


def main(name: str, configuration: Configuration) -> None:
    wiring = read_wiring(configuration, name)
    params = configuration.method_block(name, load_method(name).Params)
    task = open_task(configuration, f"evaluate@{name}", wiring, params, name)
    models = load_variants(name, params, MODELS / name / "variants")
    if name in configuration.section("distill"):
        models |= load_students(MODELS / name / "students")
    models |= load_arms(configuration, name, MODELS / name / ARMS)
    with atomic_folder(REPORTS / "figures" / name) as folder:
        figures = FigureFolder(folder, remark(len(params.seeds)))
        evaluation: Evaluation = load_evaluation(name)(models, params, task, figures)
        figures.write_index()
    result = MethodResult(
        method=name, precision=precision(models), **wiring.model_dump(), **evaluation.model_dump()
    )
    write_json(REPORTS / f"results/{name}.json", result.model_dump(mode="json"))
    write_json(REPORTS / f"metrics/{name}.json", evaluation.metric_values)


def remark(seeds: int) -> str:
    """Say in every caption that figures show one seed of several."""
    return f"Of the first of {seeds} seeds." if seeds > 1 else ""


def precision(models: Mapping[str, Sequence[AnyMethod]]) -> str:
    """Name the precision in which the models were trained; both, where it was not the same for all."""
    found = {model.precision for by_seed in models.values() for model in by_seed if model.precision}
    return " and ".join(sorted(found))


if __name__ == "__main__":
    run(main, __doc__ or "", "a method of params.yaml, such as irt")
