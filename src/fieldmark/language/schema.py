"""The `phrases:` block of `params.yaml`: whose captions become phrases, and how."""

from typing import Any, Literal

from pydantic import Field

from fieldmark.base.blocks import Block, nearest, parse
from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.schema import named_items
from fieldmark.datasets.splitting.splits import read_splits

SECTION, CLIPS = "phrases", "clips"
NO_CLIP = "none"  # models/clips/none stands for it, so that dvc.yaml has something to depend on
TaggerName = Literal["builtin", "nltk"]
# A determiner, adverbs, adjectives or participles or numbers, nouns. Papers such as PMA (Song et al. 2020) chunk
# noun phrases and give no grammar.
GRAMMAR = r"NP: {<DT|PRP\$>?<RB.*>*<JJ.*|VBN|VBG|CD>*<NN.*>+}"
# Heads that say nothing where they stand alone.
GENERIC = (
    *("bird", "birds", "flower", "flowers", "car", "cars", "plane", "planes", "airplane", "aircraft"),
    *("picture", "photo", "image", "color", "colour", "particular bird"),
)


class PhrasesParams(Block):
    """One item of `phrases:`.

    `split` says which pictures are for training: the vocabulary is of the words that occur `min_count` times
    in their phrases. `nltk_data` is a folder of NLTK data for `tagger: nltk`; None downloads it. `grammar` is in
    the notation of nltk.RegexpParser. `generic` are phrases to drop; a picture keeps its first `max_phrases`.
    `clip` is the item of `clips:` whose text tower embeds each phrase. Its default is for callers: dvc.yaml
    depends on the CLIP by that key, and so params.yaml must have it.
    """

    dataset: str  # the split's
    split: str
    tagger: TaggerName = "builtin"
    nltk_data: str | None = None
    grammar: str = GRAMMAR
    generic: tuple[str, ...] = GENERIC
    max_phrases: int = Field(40, ge=1)
    min_count: int = Field(2, ge=1)
    clip: str = NO_CLIP


def read_phrases_params(params: dict[str, Any]) -> dict[str, PhrasesParams]:
    """Return every item of `phrases:`, none where there is no such block. Raises UserError for what is wrong."""
    items = named_items(params, SECTION) if SECTION in params else {}
    found = {name: parse(PhrasesParams, item, f"{SECTION}.{name}") for name, item in items.items()}
    splits = read_splits(params) if found else {}
    clips = _clip_names(params)
    for name, own in found.items():
        if own.split not in splits:
            raise UserError(
                f"{SECTION}.{name}.split: there is no split '{own.split}'{nearest(own.split, list(splits))}"
            )
        if splits[own.split].dataset != own.dataset:
            raise UserError(
                f"{SECTION}.{name}.dataset is '{own.dataset}', but split '{own.split}' is of data set "
                f"'{splits[own.split].dataset}'"
            )
        if own.clip not in (*clips, NO_CLIP):
            known = nearest(own.clip, [*clips, NO_CLIP])
            raise UserError(f"{SECTION}.{name}.clip: there is no CLIP '{own.clip}' in {CLIPS}{known}")
    return found


def _clip_names(params: dict[str, Any]) -> list[str]:
    names = list(named_items(params, CLIPS)) if CLIPS in params else []
    if NO_CLIP in names:
        raise UserError(f"{CLIPS}.{NO_CLIP}: give it another name; '{NO_CLIP}' stands for no CLIP")
    return names
