"""Head, medium and tail: the classes of a long-tailed set by how many training pictures hold them.

Wu et al., Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets, ECCV 2020.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAD, TAIL = 100, 20  # as published: at least 100 training pictures are the head, fewer than 20 the tail


def frequency_masks(counts: Any, head: int = HEAD, tail: int = TAIL) -> dict[str, NDArray[np.bool_]]:
    """Return masks (C,) of the classes in `head`, `medium` and `tail`; `counts` (C,) are their training pictures.

    The head are the classes with at least `head` pictures, the tail those with fewer than `tail`. Raises
    ValueError when `tail` is above `head`.
    """
    if tail > head:
        raise ValueError(f"tail ({tail}) must not exceed head ({head})")
    pictures = np.asarray(counts)
    frequent, rare = pictures >= head, pictures < tail
    return {"head": frequent, "medium": ~frequent & ~rare, "tail": rare}
