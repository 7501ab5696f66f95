"""Train every variant of a method from every seed on its split, starting from its backbone."""

from _stage import run
from _task import MODELS, open_task

from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.registry import load_method
from fieldmark.contract.variants import output_folder, train_variants
from fieldmark.engine.checkpoint import RESUME
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.training import clear_states
from fieldmark.engine.wiring import read_wiring
from fieldmark.runtime.distributed import first_process


def main(name: str, configuration: Configuration) -> None:
    params = configuration.method_block(name, load_method(name).Params)
    # A run is named after its seed, so that a seed may be added while others are half trained.
    seedless = params.model_copy(update={"seeds": ()})
    task = open_task(configuration, f"train@{name}", read_wiring(configuration, name), seedless, name)
    with output_folder(MODELS / name / "variants") as folder:
        curves = train_variants(name, params, task, folder)
    if first_process():
        write_curves(task.history, curves)
        clear_states(name, RESUME)


if __name__ == "__main__":
    run(main, __doc__ or "", "a method of params.yaml, such as irt")
