"""Extract the noun phrases of a data set's captions into data/text/phrases/<name>, and say what was found."""

from pathlib import Path

from _stage import run

from fieldmark.base.files import atomic_folder, write_json
from fieldmark.configuration.configuration import Configuration
from fieldmark.configuration.wiring import check_split
from fieldmark.datasets.data.packed.manifest import read_manifest
from fieldmark.datasets.data.roles.splits import read_split
from fieldmark.language.extraction import describe, extract
from fieldmark.language.perceptron import require_tagger
from fieldmark.language.schema import NO_CLIP, PhrasesParams
from fieldmark.texts.phrases import Phrases, PhraseVectors, write_phrases, write_vectors

NLTK_DATA = Path("data/nltk")
CLIPS, CACHE = Path("models/clip_models"), Path("data/cache/phrases")


def main(name: str, configuration: Configuration) -> None:
    """Extract the item `name` of `phrases` in params.yaml."""
    own = configuration.item("phrases", name, PhrasesParams)
    check_split(configuration, own.split, own.dataset, f"phrases.{name}")
    data = Path(own.nltk_data or NLTK_DATA).expanduser()
    if own.tagger == "nltk" and own.nltk_data is None:
        require_tagger(data)
    manifest = read_manifest(Path("data/prepared") / own.dataset / "manifest.parquet")
    split = read_split(Path("data/splits") / f"{own.split}.parquet")
    found = extract(manifest, split.loc[split["role"] == "train", "id"], own, data)
    vectors = None if own.clip == NO_CLIP else _embedded(found, own.clip)
    with atomic_folder(Path("data/text/phrases") / name) as folder:
        write_phrases(found, folder)
        if vectors is not None:
            write_vectors(vectors, folder)
    write_json(Path("reports/results/phrases") / f"{name}.json", describe(found, manifest, own, data))


def _embedded(found: Phrases, clip: str) -> PhraseVectors:
    # torch takes seconds to import, and each process that extracts imports this file
    from fieldmark.language.embedding import embed_phrases

    return embed_phrases(found.frame["phrases"], CLIPS / clip, CACHE)


if __name__ == "__main__":
    run(main, __doc__ or "", "a set of phrases: a key of `phrases` in params.yaml")
