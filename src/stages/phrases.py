"""Extract the noun phrases of a data set's captions, data/text/phrases/<name> and reports/phrases/<name>.json."""

from pathlib import Path
from typing import Any

from _stage import run

from fieldmark.datasets.manifest import read_manifest
from fieldmark.datasets.splits import read_split
from fieldmark.files import atomic_folder, write_json
from fieldmark.language.extraction import describe, extract
from fieldmark.language.params import read_phrases_params
from fieldmark.language.perceptron import require_tagger
from fieldmark.language.phrases import write_phrases
from fieldmark.params import pick

NLTK_DATA = Path("data/nltk")


def main(name: str, params: dict[str, Any]) -> None:
    """Extract the item `name` of `phrases` in params.yaml."""
    own = pick(read_phrases_params(params), name, "phrases")
    data = Path(own.nltk_data or NLTK_DATA).expanduser()
    if own.tagger == "nltk" and own.nltk_data is None:
        require_tagger(data)
    manifest = read_manifest(Path("data/prepared") / own.dataset / "manifest.parquet")
    split = read_split(Path("data/splits") / f"{own.split}.parquet")
    found = extract(manifest, split.loc[split["role"] == "train", "id"], own, data)
    with atomic_folder(Path("data/text/phrases") / name) as folder:
        write_phrases(found, folder)
    write_json(Path("reports/phrases") / f"{name}.json", describe(found, manifest, own, data))


if __name__ == "__main__":
    run(main, __doc__ or "", "a set of phrases: a key of `phrases` in params.yaml")
