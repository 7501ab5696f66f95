"""Embeddings of sentences, cached by content.

The cache has one file for each CLIP, named by the content of its configuration and weights, and in it one entry for
each template and text: after a class name is changed or a template is added, only what is new is computed.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fieldmark.base.files import atomic_path
from fieldmark.base.progress import progress
from fieldmark.towers.templates import prompt

Encode = Callable[[Sequence[str]], Tensor]


class TextCache:
    """Embeddings of sentences of one CLIP, kept in `folder/<key>.safetensors`; `key` names the CLIP's content."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / f"{key}.safetensors"
        self.known = _load(self.path)

    def embed(self, templates: Sequence[str], texts: Sequence[str], encode: Encode) -> Tensor:
        """Return (T, C, m) for every template filled with every text; `encode` makes what is missing.

        `encode` turns n sentences into their embeddings (n, m). It is given one sentence at a time: in a batch, the
        last digits depend on what else is in it, and the result must not depend on what was cached before.
        """
        pairs = [(template, text) for template in templates for text in texts]
        missing = list(dict.fromkeys(pair for pair in pairs if _entry(*pair) not in self.known))
        for template, text in progress(missing, desc="texts", unit="text"):
            vector = encode([prompt(template, text)])[0]
            self.known[_entry(template, text)] = vector.detach().float().cpu().contiguous()
        if missing:
            with atomic_path(self.path) as temporary:
                save_file(self.known, temporary)
        rows = torch.stack([self.known[_entry(*pair)] for pair in pairs])
        return rows.view(len(templates), len(texts), -1)


def _entry(template: str, text: str) -> str:
    return hashlib.sha256(f"{template}\n{text}".encode()).hexdigest()[:32]


def _load(path: Path) -> dict[str, Tensor]:
    """Read a cache file; empty for one that is absent or cannot be read."""
    try:
        known: dict[str, Tensor] = load_file(path)
    except (FileNotFoundError, SafetensorError):
        return {}
    return known
