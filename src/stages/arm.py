"""Train an arm, a variant of a method with other values than its block, from every seed."""

from _stage import run
from _task import MODELS, open_task

from fieldmark.configuration.configuration import Configuration
from fieldmark.contract.variants import ARMS, output_folder, read_arm, train_variant
from fieldmark.engine.checkpoint import RESUME
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.training import clear_states
from fieldmark.runtime.distributed import first_process


def main(name: str, configuration: Configuration) -> None:
    arm, place, run_name = read_arm(configuration, name), f"{ARMS}/{name}", f"arm-{name}"
    method, seedless = arm.wiring.method, arm.variant.params.model_copy(update={"seeds": ()})
    task = open_task(configuration, f"arm@{method}", arm.wiring, seedless, place)
    with output_folder(MODELS / method / place) as folder:
        curves = train_variant(method, arm.variant, task, folder, run_name)
    if first_process():
        write_curves(task.history, curves)
        clear_states(run_name, RESUME)


if __name__ == "__main__":
    run(main, __doc__ or "", "an item of `arms` in params.yaml")
