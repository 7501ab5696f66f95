"""Class names into a CLIP's text space: embeddings of sentences, cached by content, and the folder of a data set.

The cache has one file for each CLIP (its configuration and weights, by content) and in it one entry for each
template and text, so that a changed class name or an added template computes what is new and nothing else.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, atomic_path, write_json
from fieldmark.base.progress import progress
from fieldmark.towers.templates import prompt

TENSORS, NAMES = "prompts.safetensors", "prompts.json"
Encode = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class Prompts:
    """What `read_prompts` returns; nothing is normalised.

    `names` are the C classes, `embeddings` (C, m) the mean over the T templates of `per_template` (T, C, m),
    `image_embeddings` (N, m) the image tower's features of every picture in the order of the manifest's rows,
    None when they were not asked for. All float32.
    """

    names: list[str]
    embeddings: Tensor
    per_template: Tensor
    image_embeddings: Tensor | None = None


class TextCache:
    """Embeddings of sentences of one CLIP, kept in `folder/<key>.safetensors`; `key` names the CLIP's content."""

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / f"{key}.safetensors"
        self.known = _load(self.path)

    def embed(self, templates: Sequence[str], texts: Sequence[str], encode: Encode) -> Tensor:
        """Return (T, C, m) for every template filled with every text; `encode` (sentences -> (n, m)) makes what lacks.

        Sentences are encoded one at a time: in a batch, the last digits depend on what else is in it, and the
        result must not depend on what was cached before.
        """
        pairs = [(template, text) for template in templates for text in texts]
        lacking = list(dict.fromkeys(pair for pair in pairs if _entry(*pair) not in self.known))
        for template, text in progress(lacking, desc="texts", unit="text"):
            vector = encode([prompt(template, text)])[0]
            self.known[_entry(template, text)] = vector.detach().float().cpu().contiguous()
        if lacking:
            with atomic_path(self.path) as temporary:
                save_file(self.known, temporary)
        rows = torch.stack([self.known[_entry(*pair)] for pair in pairs])
        return rows.view(len(templates), len(texts), -1)


def write_prompts(prompts: Prompts, templates: Sequence[str], texts: Sequence[str], folder: Path) -> None:
    """Write `prompts`, with the templates and the text that stood for each class, to `folder`, atomically."""
    tensors = {"embeddings": prompts.embeddings, "per_template": prompts.per_template}
    if prompts.image_embeddings is not None:
        tensors["image_embeddings"] = prompts.image_embeddings
    with atomic_folder(folder) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary / TENSORS)
        described = {"names": prompts.names, "templates": list(templates), "texts": list(texts)}
        write_json(temporary / NAMES, described)


def read_prompts(folder: Path) -> Prompts:
    """Read what `write_prompts` wrote. Raises UserError when it is absent or damaged."""
    if not (folder / NAMES).exists() or not (folder / TENSORS).exists():
        raise UserError(f"{folder} holds no prompts; run dvc repro prompts@{folder.name}")
    try:
        tensors = load_file(folder / TENSORS)
        names = json.loads((folder / NAMES).read_text(encoding="utf-8"))["names"]
        return Prompts(names, tensors["embeddings"], tensors["per_template"], tensors.get("image_embeddings"))
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{folder} is damaged ({error}); delete it and run dvc repro") from None


def _entry(template: str, text: str) -> str:
    return hashlib.sha256(f"{template}\n{text}".encode()).hexdigest()[:32]


def _load(path: Path) -> dict[str, Tensor]:
    """Read a cache file; one that cannot be read is as good as none."""
    try:
        found: dict[str, Tensor] = load_file(path)
    except (FileNotFoundError, SafetensorError):
        return {}
    return found
