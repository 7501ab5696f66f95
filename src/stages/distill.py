"""Train the students of a method from its trained variants."""

from _stage import run
from _task import MODELS, open_task

from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import load_distillation
from fieldmark.contract.variants import output_folder
from fieldmark.engine.checkpoint import RESUME
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.training import clear_states
from fieldmark.runtime.distributed import first_process


def main(name: str, configuration: Configuration) -> None:
    distillation, history = load_distillation(name), f"distill-{name}"
    params = configuration.item("distill", name, distillation.PARAMS)
    teachers = MODELS / name / "variants"
    inputs = sorted(teachers.glob("*/*/*.*"))
    task = open_task(configuration, f"distill@{name}", params, params, history, inputs)
    with output_folder(MODELS / name / "students") as folder:
        curves = distillation.distil(params, task, teachers, folder)
    if first_process():
        write_curves(task.history, curves)
        clear_states(history, RESUME)


if __name__ == "__main__":
    run(main, __doc__ or "", "an item of `distill` in params.yaml, such as pma")
