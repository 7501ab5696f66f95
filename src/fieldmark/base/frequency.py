"""Head, medium and tail: the classes of a long-tailed set by how many training pictures hold them.

Wu et al., Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets, ECCV 2020.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

HEAD, TAIL = 100, 20  # as published: head from 100 training pictures on, tail below 20


def frequency_masks(counts: Any, head: int = HEAD, tail: int = TAIL) -> dict[str, NDArray[np.bool_]]:
    """Return which classes are of the `head`, the `medium` and the `tail`, each (C,), for training pictures (C,).

    The head are the classes with at least `head` pictures, the tail those with fewer than `tail`. Raises
    ValueError when `tail` is above `head`.
    """
    if tail > head:
        raise ValueError(f"tail ({tail}) must not exceed head ({head})")
    pictures = np.asarray(counts)
    frequent, rare = pictures >= head, pictures < tail
    return {"head": frequent, "medium": ~frequent & ~rare, "tail": rare}
