"""The split of a landmark benchmark: queries and the database, as the source gives them."""

from collections.abc import Sequence

import pandas as pd

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.packed.manifest import KINDS, listed
from fieldmark.datasets.data.roles.splits import SplitParams
from fieldmark.datasets.splitting.splits import by_source, in_columns, require_role

SIDES = ("query", "gallery")


def make_landmarks(manifest: pd.DataFrame, params: SplitParams) -> pd.DataFrame:
    """Return the queries and the gallery that the source names; there is nothing to train on.

    What a query should find stands in the manifest, so that labels are -1 and class names empty. Copies stay as the
    benchmark has them. Raises UserError for other roles, for a side without a picture, and for lists that do not fit.
    """
    frame = manifest.sort_values("row").assign(label=-1, class_name="")
    frame["role"] = by_source(frame)
    others = sorted(set(frame["role"]) - set(SIDES))
    if others:
        raise UserError(
            f"a landmarks split has queries and a gallery alone, but the source's split holds '{others[0]}'; "
            "set kind: retrieval"
        )
    for side in SIDES:
        require_role(frame["role"] == side, side, len(frame))
    queries, gallery = (frame["id"][frame["role"] == side].tolist() for side in SIDES)
    for kind in KINDS:
        _check_lists(manifest, kind, queries, set(gallery))
    return in_columns(frame)


def _check_lists(manifest: pd.DataFrame, kind: str, queries: Sequence[str], gallery: set[str]) -> None:
    """Raise UserError for a query without a list of this kind, and for one that names what is not in the gallery."""
    names = listed(manifest, kind)
    for query in queries:
        if query not in names:
            raise UserError(f"'{query}' lists no {kind} photographs; it is no query of a benchmark")
        absent = [name for name in names[query] if name not in gallery]
        if absent:
            raise UserError(
                f"'{query}' lists {kind} {absent[0]}, which is not in the database; prepare it again"
            )
