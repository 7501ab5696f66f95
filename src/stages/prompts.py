"""Put the class names of a data set into a CLIP's text space, data/text/prompts/<name>."""

from pathlib import Path

from _stage import run

from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.prompting.prompting import make_prompts
from fieldmark.prompting.schema import PromptParams
from fieldmark.runtime.params import RuntimeParams
from fieldmark.texts.prompts import write_prompts

CACHE = Path("data/cache/prompts")


def main(name: str, configuration: Configuration) -> None:
    params = configuration.item("prompts", name, PromptParams)
    data, clip = Path("data/prepared") / params.dataset, Path("models/clip_models") / params.clip
    manifest, store = read_manifest(data / "manifest.parquet"), ImageStore.open(data)
    runtime = configuration.block("runtime", RuntimeParams)
    prompts, texts = make_prompts(params, clip, store, manifest, runtime, CACHE)
    write_prompts(prompts, params.templates, list(texts.values()), Path("data/text/prompts") / name)


if __name__ == "__main__":
    run(main, __doc__ or "", "an item of `prompts` in params.yaml, such as scenes")
