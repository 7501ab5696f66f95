"""Put the class names of a data set into a CLIP's text space, data/text/prompts/<name>."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.base.files import write_json
from fieldmark.datasets.data.manifest import read_manifest
from fieldmark.datasets.data.store import ImageStore
from fieldmark.preflight.check import read_prompt, read_runtime
from fieldmark.prompting.prompting import describe_prompts, make_prompts
from fieldmark.texts.prompts import write_prompts

CACHE = Path("data/cache/prompts")


def main(name: str, params: dict[str, Any]) -> None:
    own = read_prompt(params, name)
    data = Path("data/prepared") / own.dataset
    manifest = read_manifest(data / "manifest.parquet")
    clip, store = Path("models/clips") / own.clip, ImageStore.open(data)
    prompts, texts = make_prompts(own, clip, store, manifest, read_runtime(params), CACHE)
    write_prompts(prompts, own.templates, list(texts.values()), Path("data/text/prompts") / name)
    described = {"name": name, "dataset": own.dataset, "clip": own.clip, "text": own.text}
    write_json(Path(f"reports/prompts/{name}.json"), {**described, **describe_prompts(prompts, manifest)})


if __name__ == "__main__":
    run(main, __doc__ or "", "an item of `prompts` in params.yaml, such as scenes")
