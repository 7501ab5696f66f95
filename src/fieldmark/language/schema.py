"""The `phrases:` block of `params.yaml`: whose captions become phrases, and how."""

from typing import Literal

from pydantic import Field

from fieldmark.base.blocks import Block
from fieldmark.language.nouns import GENERIC

NO_CLIP = "none"  # models/clip_models/none stands for it, so that dvc.yaml has something to depend on
TaggerName = Literal["builtin", "nltk"]
# A determiner, adverbs, adjectives or participles or numbers, nouns. Papers such as PMA (Song et al. 2020) chunk
# noun phrases and give no grammar.
GRAMMAR = r"NP: {<DT|PRP\$>?<RB.*>*<JJ.*|VBN|VBG|CD>*<NN.*>+}"


class PhrasesParams(Block):
    """One item of `phrases:`.

    `split` says which pictures are for training: the vocabulary is of the words that occur `min_count` times
    in their phrases. `nltk_data` is a folder of NLTK data for `tagger: nltk`; None downloads it. `grammar` is in
    the notation of nltk.RegexpParser. `generic` are phrases to drop; a picture keeps its first `max_phrases`.
    `clip` is the item of `clip_models:` whose text tower embeds each phrase. Its default is for callers: dvc.yaml
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
