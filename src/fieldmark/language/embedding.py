"""Phrases in the text space of a CLIP: each distinct phrase is embedded once and cached by its content."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch.nn.functional import normalize

from fieldmark.textcache.cache import TextCache
from fieldmark.texts.phrases import PhraseVectors
from fieldmark.towers.clip import content_key, load_clip

PHRASE_ALONE = "{}"  # the template for a phrase: nothing around it


@torch.inference_mode()
def embed_phrases(per_picture: Iterable[Sequence[str]], folder: Path, cache: Path) -> PhraseVectors:
    """Embed the distinct phrases of all pictures, sorted, with the frozen text tower of the CLIP in `folder`.

    It runs on the CPU, whatever the machine has, so that the same phrases give the same bytes. Raises UserError when
    the CLIP is not there.
    """
    phrases = sorted({phrase for of_picture in per_picture for phrase in of_picture})
    clip = load_clip(folder)
    if not phrases:
        return PhraseVectors([], torch.zeros(0, clip.dim).half().numpy())
    rows = TextCache(cache, content_key(folder)).embed([PHRASE_ALONE], phrases, clip.encode_texts)[0]
    return PhraseVectors(phrases, normalize(rows, dim=1).half().numpy())
