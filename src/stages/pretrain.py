"""Make the backbone that params.yaml names: train it, or take it with its weights."""

from _stage import run
from _task import MODELS, open_task, pictures_alone

from fieldmark.base.files import atomic_folder
from fieldmark.configuration.configuration import Configuration
from fieldmark.engine.checkpoint import RESUME
from fieldmark.engine.monitor import write_curves
from fieldmark.engine.training import clear_states
from fieldmark.pretraining.backbones import make_backbone, save_head
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.runtime.distributed import first_process
from fieldmark.vision.backbones import save_backbone


def main(name: str, configuration: Configuration) -> None:
    params, run_name = configuration.item("backbones", name, BackboneParams), f"pretrain-{name}"
    wiring = pictures_alone(params.dataset, params.split)
    task = open_task(configuration, f"pretrain@{name}", wiring, params, run_name)
    backbone, classifier, curve = make_backbone(params, task, run_name)
    if not first_process():
        return
    with atomic_folder(MODELS / "backbones" / name) as folder:
        save_backbone(backbone, folder)
        if classifier:
            save_head(classifier, folder)
    write_curves(task.history, {"loss": curve} if curve else {})
    clear_states(run_name, RESUME)


if __name__ == "__main__":
    run(main, __doc__ or "", "a backbone of params.yaml, such as vit")
