"""The labels of masks: what is named and has no pixel."""

from collections.abc import Collection

from fieldmark.base.errors import UserError
from fieldmark.datasets.acquire.fields import require_one_line
from fieldmark.datasets.acquire.listing import few
from fieldmark.datasets.acquire.records import VALUES, LeftOut, MaskLabels
from fieldmark.datasets.data.packed.store import NO_LABEL

SHOWN = 12  # how many values are named


def labels_without_pixel(labels: MaskLabels, values: Collection[int]) -> list[LeftOut]:
    """Return the labels that have no pixel, where they are to be said; `values` are those of all mask files.

    Raises UserError where there is one and none may be absent.
    """
    require_one_line(labels.names, "the masks")
    stored = labels.stored or bytes(range(VALUES))
    absent = sorted(set(range(len(labels.names))) - {stored[value] for value in values})
    if labels.absent == "allowed" or not (values and absent):
        return []
    names = [labels.names[index] for index in absent]
    if labels.absent == "said":
        return [LeftOut(name, "no mask has a pixel of it", name, kind="class") for name in names]
    found = ", ".join(map(str, sorted(values)[:SHOWN])) + (", ..." if len(values) > SHOWN else "")
    unlabelled = ", of which 255 means no label" if 255 in values and stored[255] == NO_LABEL else ""
    raise UserError(
        f"no mask has a pixel of the label {few([repr(name) for name in names])}: the masks hold the "
        f"values {found}{unlabelled}; say in masks.values which value each label has, or remove the label"
    )
