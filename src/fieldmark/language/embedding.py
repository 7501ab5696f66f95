"""Phrases into a CLIP's text space, each distinct one once, cached by content."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch.nn.functional import normalize

from fieldmark.textcache.cache import TextCache
from fieldmark.texts.phrases import PhraseVectors
from fieldmark.towers.clip import content_key, load_clip

AS_IT_STANDS = "{}"  # the template of a phrase


@torch.inference_mode()
def embed_phrases(found: Iterable[Sequence[str]], folder: Path, cache: Path) -> PhraseVectors:
    """Embed the distinct phrases of all pictures, sorted, by the frozen text tower of the CLIP in `folder`.

    On the CPU whatever the machine has, so that the same phrases give the same bytes. Raises UserError when the
    CLIP is not there.
    """
    phrases = sorted({phrase for one in found for phrase in one})
    clip = load_clip(folder)
    if not phrases:
        return PhraseVectors([], torch.zeros(0, clip.dim).half().numpy())
    rows = TextCache(cache, content_key(folder)).embed([AS_IT_STANDS], phrases, clip.encode_texts)[0]
    return PhraseVectors(phrases, normalize(rows, dim=1).half().numpy())
