"""Score a backbone, a CLIP or prompts by themselves, such as backbones/vit, clip_models/small or prompts/scenes."""

from pathlib import Path

from _stage import run
from _task import MODELS, PREPARED, TEXTS, open_task, pictures_alone

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, write_json
from fieldmark.clip.schema import ClipParams
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.pretraining.backbones import load_classifier
from fieldmark.pretraining.schema import BackboneParams
from fieldmark.prompting.schema import PromptParams
from fieldmark.results.figures import FigureFolder
from fieldmark.results.schema import NetworkResult
from fieldmark.scoring.backbones import describe_backbone
from fieldmark.scoring.clip_models import describe_clip
from fieldmark.scoring.prompts import describe_prompts
from fieldmark.texts.prompts import read_prompts
from fieldmark.towers.clip import load_clip
from fieldmark.vision.backbones import load_backbone

REPORTS = Path("reports")


def main(what: str, configuration: Configuration) -> None:
    section, _, name = what.partition("/")
    score = {"backbones": backbone, "clip_models": clip, "prompts": prompts}.get(section)
    if score is None or not name:
        raise UserError(f"'{what}' cannot be scored; write backbones/NAME, clip_models/NAME or prompts/NAME")
    score(name, configuration)


def backbone(name: str, configuration: Configuration) -> None:
    params, folder = configuration.item("backbones", name, BackboneParams), MODELS / "backbones" / name
    wiring = pictures_alone(params.dataset, params.split)
    task = open_task(configuration, f"score_backbone@{name}", wiring, params, "")
    network = load_backbone(folder)
    write(
        "backbones",
        describe_backbone(name, network, load_classifier(network, folder, params.pooling), params, task),
    )


def clip(name: str, configuration: Configuration) -> None:
    params = configuration.item("clip_models", name, ClipParams)
    wiring = pictures_alone(params.dataset, params.split)
    task = open_task(configuration, f"score_clip@{name}", wiring, params, "")
    with atomic_folder(REPORTS / "figures/clip_models" / name) as folder:
        figures = FigureFolder(folder)
        result = describe_clip(name, load_clip(MODELS / "clip_models" / name), params, task, figures)
        figures.write_index()
    write("clip_models", result)


def prompts(name: str, configuration: Configuration) -> None:
    params = configuration.item("prompts", name, PromptParams)
    manifest = read_manifest(PREPARED / params.dataset / "manifest.parquet")
    write("prompts", describe_prompts(name, read_prompts(TEXTS / "prompts" / name), params, manifest))


def write(section: str, result: NetworkResult) -> None:
    """Write what the report reads, and the few values that DVC compares."""
    write_json(REPORTS / f"results/{section}/{result.name}.json", result.model_dump(mode="json"))
    write_json(REPORTS / f"metrics/{section}/{result.name}.json", result.metric_values)


if __name__ == "__main__":
    run(main, __doc__ or "", "backbones/NAME, clip_models/NAME or prompts/NAME, as in params.yaml")
