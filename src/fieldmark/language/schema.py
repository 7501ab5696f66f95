"""The `phrases:` block of `params.yaml`: whose captions become phrases, and how."""

from typing import Literal

from pydantic import Field

from fieldmark.base.blocks import Block
from fieldmark.language.nouns import GENERIC

NO_CLIP = "none"  # the file models/clip_models/none stands for it: dvc.yaml must have something to depend on
TaggerName = Literal["builtin", "nltk"]
# A determiner; adverbs; adjectives, participles or numbers; then nouns. Papers such as PMA (Song et al. 2020) chunk
# noun phrases but give no grammar.
GRAMMAR = r"NP: {<DT|PRP\$>?<RB.*>*<JJ.*|VBN|VBG|CD>*<NN.*>+}"


class PhrasesParams(Block):
    """One item of `phrases:`.

    `split` says which pictures are for training: the vocabulary holds the words that occur at least `min_count`
    times in their phrases. `nltk_data` is a folder of NLTK data for `tagger: nltk`; None downloads it. `grammar` is
    in the notation of nltk.RegexpParser. `generic` are phrases to drop. A picture keeps its first `max_phrases`
    phrases. `clip` is the item of `clip_models:` whose text tower embeds each phrase, or "none". The default is for
    callers in Python; `params.yaml` must have the key, because `dvc.yaml` depends on the CLIP by it.
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
