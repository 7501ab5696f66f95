"""Train every variant of a method on its split, starting from its backbone."""

from pathlib import Path
from typing import Any

from _stage import run
from _task import open_method, resume_key

from fieldmark.contract.variants import clear_states, train_variants
from fieldmark.engine.checkpoint import RESUME
from fieldmark.engine.watch import write_curves
from fieldmark.runtime.processes import first_process, output_folder


def main(name: str, params: dict[str, Any]) -> None:
    own, task, inputs = open_method(name, params)
    key = resume_key(own, params, params["methods"][name]["split"], inputs)
    with output_folder(Path("models") / name / "variants") as folder:
        curves = train_variants(name, own, task, folder, RESUME, key)
    if first_process():
        write_curves(task.history, curves)
        clear_states(name, RESUME)


if __name__ == "__main__":
    run(main, __doc__ or "", "a method of params.yaml, such as irt")
