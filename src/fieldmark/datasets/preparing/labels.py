"""The labels of masks: each that the user has named must occur."""

from collections.abc import Collection

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.listing import few
from fieldmark.datasets.acquire.records import VALUES, MaskLabels
from fieldmark.datasets.data.packed.store import NO_LABEL

SHOWN = 12  # how many values are named


def require_every_label(labels: MaskLabels, values: Collection[int]) -> None:
    """Raise UserError when labels must be complete and one has no pixel; `values` are those of all mask files."""
    stored = labels.stored or bytes(range(VALUES))
    absent = sorted(set(range(len(labels.names))) - {stored[value] for value in values})
    if not (labels.complete and values and absent):
        return
    found = ", ".join(map(str, sorted(values)[:SHOWN])) + (", ..." if len(values) > SHOWN else "")
    unlabelled = ", of which 255 means no label" if 255 in values and stored[255] == NO_LABEL else ""
    raise UserError(
        f"no mask has a pixel of the label {few([repr(labels.names[index]) for index in absent])}: the masks hold the "
        f"values {found}{unlabelled}; say in masks.values which value each label has, or remove the label"
    )
