"""The classes of a data set in the text space of a CLIP, and its pictures in the image space."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.data.roles.multilabel import classes_of, has_several_labels
from fieldmark.prompting.schema import PromptParams
from fieldmark.runtime.device import pick_device
from fieldmark.runtime.inference import run_rows
from fieldmark.runtime.params import RuntimeParams
from fieldmark.textcache.cache import TextCache
from fieldmark.texts.prompts import Prompts
from fieldmark.towers.clip import Clip, content_key, load_clip
from fieldmark.towers.templates import fields, fill


def class_texts(manifest: pd.DataFrame, template: str) -> dict[str, str]:
    """Return the text that stands for each class, by class name in sorted order.

    Classes are the labels of pictures with several labels, else the class names. `template` may contain `{name}` and
    every attribute that has the same value in all pictures of a class. Raises UserError, naming the class, for an
    attribute that a class does not have.
    """
    texts = {}
    for name, values in _class_values(manifest, attributes=fields(template) != ["name"]).items():
        text = fill(template, values)
        if text is None:
            missing = next(field for field in fields(template) if field not in values)
            known = ", ".join(sorted(values))
            raise UserError(
                f"text: class '{name}' has no '{missing}' that all its pictures share; it has {known}"
            )
        texts[name] = text
    if not texts:
        raise UserError("the data set names no classes to make prompts of")
    return texts


@torch.inference_mode()
def make_prompts(
    params: PromptParams,
    folder: Path,
    store: ImageStore,
    manifest: pd.DataFrame,
    runtime: RuntimeParams,
    cache: Path,
) -> tuple[Prompts, dict[str, str]]:
    """Embed the classes of `manifest` with the CLIP in `folder`; return the prompts, and the text by class.

    `cache` is the folder of a `TextCache`. Raises UserError as `class_texts` and `load_clip` do.
    """
    texts = class_texts(manifest, params.text)
    clip = load_clip(folder).to(torch.device(pick_device(runtime)))
    known = TextCache(cache, content_key(folder))
    per_template = known.embed(params.templates, list(texts.values()), clip.encode_texts)
    pictures = None
    if params.zero_shot:
        rows = manifest.sort_values("row")["row"].to_numpy()
        pictures = run_rows(clip, clip.encode_images, store, rows, _geometry(clip), runtime, "pictures")
    return Prompts(list(texts), per_template.mean(0), per_template, pictures), texts


def _class_values(manifest: pd.DataFrame, attributes: bool) -> dict[str, dict[str, str]]:
    """Return, for each class, its name and, with `attributes`, the attributes that are equal in all its pictures."""
    values = {name: {"name": name} for name in classes_of(manifest)}
    if attributes and not has_several_labels(manifest):
        for name, of_class in manifest.dropna(subset="class_name").groupby("class_name")["attributes"]:
            values[str(name)] |= _shared([json.loads(text) for text in of_class.unique()])
    return values


def _shared(attributes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the attributes that have the same value everywhere."""
    first, *others = attributes
    return {
        key: str(value) for key, value in first.items() if all(other.get(key) == value for other in others)
    }


def _geometry(clip: Clip) -> ImageParams:
    """Return how pictures are made for the CLIP."""
    return ImageParams(side=clip.spec.size, shape="square" if clip.spec.squash else "shorter_side")
