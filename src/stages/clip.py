"""Make the CLIP that params.yaml names: train it, or take it with its weights."""

from _stage import run
from _task import MODELS, open_task, pictures_alone

from fieldmark.clip.schema import ClipParams
from fieldmark.clip.training import make_clip
from fieldmark.configuration.configuration import Configuration
from fieldmark.engine.checkpoint import RESUME
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.training import clear_states
from fieldmark.runtime.distributed import first_process
from fieldmark.towers.clip import save_clip


def main(name: str, configuration: Configuration) -> None:
    params, run_name = configuration.item("clip_models", name, ClipParams), f"clip-{name}"
    wiring = pictures_alone(params.dataset, params.split)
    task = open_task(configuration, f"clip@{name}", wiring, params, run_name)
    clip, curve = make_clip(params, task, run_name)
    if not first_process():
        return
    save_clip(clip, MODELS / "clip_models" / name)
    write_curves(task.history, {"loss": curve} if curve else {})
    clear_states(run_name, RESUME)


if __name__ == "__main__":
    run(main, __doc__ or "", "a CLIP of params.yaml, such as small")
