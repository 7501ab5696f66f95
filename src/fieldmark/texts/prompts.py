"""Class names in the text space of a CLIP, as the stage `prompts` writes them and trainings read them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_folder, write_json

TENSORS, NAMES = "prompts.safetensors", "prompts.json"


@dataclass(frozen=True)
class Prompts:
    """The class names of a data set in the text space of a CLIP, m dimensions; float32, nothing is normalised.

    `names` are the C classes. `per_template` (T, C, m) are their embeddings with each of T templates, and
    `embeddings` (C, m) is the mean over the templates. `image_embeddings` (N, m) are the features that the image
    tower gives for every picture, in the order of the manifest's rows; None when they were not asked for.
    """

    names: list[str]
    embeddings: Tensor
    per_template: Tensor
    image_embeddings: Tensor | None = None


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
