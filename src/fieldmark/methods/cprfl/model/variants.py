"""The variants of CPRFL: what each is, and what it changes in the block."""

from dataclasses import replace
from pathlib import Path

from fieldmark.contract.method import Variant
from fieldmark.methods.cprfl.model.names import MAIN, Parts, parse_name, with_prompts
from fieldmark.methods.cprfl.model.params import CprflParams

CprflVariant = Variant[CprflParams, Parts]


def all_variants(params: CprflParams) -> list[CprflVariant]:
    """Return each variant that the block names, then CPRFL with each of its other prompts.

    All have as many steps and pictures per step.
    """
    named = [_variant(name, params) for name in params.variants]
    others = params.prompts[1:] if MAIN in params.variants else ()
    return [*named, *(_with_prompts(item, params) for item in others)]


def _with_prompts(item: str, params: CprflParams) -> CprflVariant:
    parts = replace(parse_name(MAIN).parts, prompts=item)
    return CprflVariant(with_prompts(item), f"CPRFL with prompts from {item}", params, parts)


def _variant(name: str, params: CprflParams) -> CprflVariant:
    row = parse_name(name)
    if row.parts.resampled:
        by_class = {"sampling": "class_aware", "images_per_class": None}
        params = params.model_copy(update={"train": params.train.model_copy(update=by_class)})
    return CprflVariant(name, row.title, params, row.parts)


def prompts_folder(text: Path, params: CprflParams, parts: Parts) -> Path:
    """Return the folder of the prompts that a variant reads; `text` is that of the method's wiring."""
    return text / (parts.prompts or params.prompts[0]) if params.prompts else text
