"""Train the students of a method from its trained variants."""

from typing import Any

from _stage import run
from _task import MODELS, open_task, resume_key

from fieldmark.contract.distillation import load_distillation
from fieldmark.contract.variants import clear_states
from fieldmark.engine.checkpoint import RESUME
from fieldmark.engine.watch import write_curves
from fieldmark.preflight.check import read_distillation
from fieldmark.runtime.processes import first_process, output_folder


def main(name: str, params: dict[str, Any]) -> None:
    own = read_distillation(params, name)
    run_name = f"distill-{name}"
    task, inputs = open_task(params, own.split, run_name, own.backbone, own.text)
    teachers = MODELS / name / "variants"
    weights = [MODELS / own.backbone / "weights.safetensors", *sorted(teachers.glob("*/*"))]
    texts = sorted(task.text.glob("*.*"))
    key = resume_key(own, params, own.split, [*inputs, *weights, *texts])
    with output_folder(MODELS / name / "students") as folder:
        curves = load_distillation(name).distil(own, task, teachers, folder, RESUME, key)
    if first_process():
        write_curves(task.history, curves)
        clear_states(run_name, RESUME)


if __name__ == "__main__":
    run(main, __doc__ or "", "an item of `distill` in params.yaml, such as pma")
