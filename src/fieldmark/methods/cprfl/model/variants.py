"""The variants of CPRFL: what each is, and what it changes in the block."""

from fieldmark.contract.method import Variant
from fieldmark.methods.cprfl.model.names import Parts, parse_name
from fieldmark.methods.cprfl.model.params import CprflParams

CprflVariant = Variant[CprflParams, Parts]


def all_variants(params: CprflParams) -> list[CprflVariant]:
    """Return each variant that the block names; all have as many steps and pictures per step."""
    return [_variant(name, params) for name in params.variants]


def _variant(name: str, params: CprflParams) -> CprflVariant:
    row = parse_name(name)
    if row.parts.resampled:
        by_class = {"sampling": "class_aware", "images_per_class": None}
        params = params.model_copy(update={"train": params.train.model_copy(update=by_class)})
    return CprflVariant(name, row.title, params, row.parts)
