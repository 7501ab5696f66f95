"""The split of a landmark benchmark: queries and the database, as the source gives them."""

import pandas as pd

from fieldmark.base.errors import UserError
from fieldmark.datasets.data.roles.landmarks import relevance
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
    relevance(manifest, queries, gallery)
    return in_columns(frame)
