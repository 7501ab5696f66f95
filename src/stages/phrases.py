"""Extract the noun phrases of the captions of a data set into data/text/phrases/<name>, and count them."""

from pathlib import Path

from _stage import run

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.roles.splits import read_split
from fieldmark.language.extraction import describe, extract
from fieldmark.language.perceptron import require_tagger
from fieldmark.language.schema import NO_CLIP, PhrasesParams
from fieldmark.texts.phrases import Phrases, PhraseVectors, write_phrases, write_vectors

NLTK_DATA = Path("data/nltk")
CLIP_MODELS, CACHE = Path("models/clip_models"), Path("data/cache/phrases")


def main(name: str, configuration: Configuration) -> None:
    """Extract the item `name` of `phrases` in params.yaml."""
    params = configuration.item("phrases", name, PhrasesParams)
    configuration.require_split(params.split, params.dataset, f"phrases.{name}")
    data = Path(params.nltk_data or NLTK_DATA).expanduser()
    if params.tagger == "nltk" and params.nltk_data is None:
        require_tagger(data)
    manifest = read_manifest(Path("data/prepared") / params.dataset / "manifest.parquet")
    split = read_split(Path("data/splits") / f"{params.split}.parquet")
    phrases = extract(manifest, split.loc[split["role"] == "train", "id"], params, data)
    vectors = None if params.clip == NO_CLIP else _embedded(phrases, params.clip)
    with atomic_folder(Path("data/text/phrases") / name) as folder:
        write_phrases(phrases, folder)
        if vectors is not None:
            write_vectors(vectors, folder)
    write_json(Path("reports/results/phrases") / f"{name}.json", describe(phrases, manifest, params, data))


def _embedded(phrases: Phrases, clip: str) -> PhraseVectors:
    # torch takes seconds to import, and each process that extracts phrases imports this file.
    from fieldmark.language.embedding import embed_phrases

    return embed_phrases(phrases.frame["phrases"], CLIP_MODELS / clip, CACHE)


if __name__ == "__main__":
    run(main, __doc__ or "", "a set of phrases: a key of `phrases` in params.yaml")
