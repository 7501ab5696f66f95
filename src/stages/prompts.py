"""Turn the class names of a data set into vectors, by a CLIP or from a file: data/text/prompts/<name>."""

from pathlib import Path

from _stage import run

from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.prompting.prompting import make_prompts
from fieldmark.prompting.schema import PromptParams
from fieldmark.prompting.vectors import given_prompts
from fieldmark.runtime.params import RuntimeParams
from fieldmark.texts.prompts import write_prompts

CACHE = Path("data/cache/prompts")


def main(name: str, configuration: Configuration) -> None:
    params = configuration.item("prompts", name, PromptParams)
    data, out = Path("data/prepared") / params.dataset, Path("data/text/prompts") / name
    manifest = read_manifest(data / "manifest.parquet")
    if params.vectors:
        prompts = given_prompts(params.vectors, manifest, params.words)
        write_prompts(prompts, [], prompts.names, out)
        return
    clip, store = Path("models/clip_models") / params.clip, ImageStore.open(data)
    runtime = configuration.block("runtime", RuntimeParams)
    prompts, texts = make_prompts(params, clip, store, manifest, runtime, CACHE)
    write_prompts(prompts, params.templates, list(texts.values()), out)


if __name__ == "__main__":
    run(main, __doc__ or "", "an item of `prompts` in params.yaml, such as scenes")
