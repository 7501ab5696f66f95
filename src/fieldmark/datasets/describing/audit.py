"""What a careful person would want to know of a data set: equal and similar pictures, odd sizes, uneven classes."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fieldmark.base.processors import processors
from fieldmark.datasets.data.packed.store import ImageStore
from fieldmark.datasets.describing.hashing import Colours, Hashes, Pairs, alike, hashed, small

Numbers = NDArray[np.int64]

SOURCE = "the source"  # as a split: the one that the source brings
COMPARED = 200_000  # pictures that are hashed, evenly spaced where there are more
TINY = 64  # pixels of the shorter side of the original
ELONGATED = 3.0  # longer side over shorter side of the original
NAMED = 5
BLOCK = 256


@dataclass(frozen=True)
class Look:
    """Two pictures, by their positions in the manifest, that are equal or look alike."""

    first: int
    second: int
    equal: bool
    conflict: bool  # their classes differ
    across: tuple[str, ...]  # the splits in which they have different roles


def audit(
    store: ImageStore, manifest: pd.DataFrame, splits: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, Any], list[Look]]:
    """Return the facts of a data set, and its pairs of pictures, those first that do most harm.

    `splits` are those of the data set, by name; where the source brings a split, it counts as one more.
    """
    chosen = np.linspace(0, len(manifest) - 1, min(len(manifest), COMPARED)).astype(np.int64)
    hashes, colours = hash_pictures(store, manifest["row"].to_numpy()[chosen])
    contents, classes = pd.factorize(manifest["sha256"])[0], _classes(manifest)
    equal = _equal(contents)
    similar: Pairs = chosen[alike(hashes, colours)]
    similar = similar[contents[similar[:, 0]] != contents[similar[:, 1]]]
    roles = _roles(manifest, splits)
    looks = _looks(equal, True, classes, roles) + _looks(similar, False, classes, roles)
    looks.sort(key=lambda look: (not look.conflict, not look.across, not look.equal, look.first, look.second))
    facts = {
        "compared": len(chosen),
        "equal": _counted(equal, contents, classes, roles),
        "alike": _counted(similar, None, classes, roles),
        "sizes": _sizes(manifest),
        "classes": _class_counts(manifest),
    }
    return facts, looks


def hash_pictures(store: ImageStore, rows: Numbers) -> tuple[Hashes, Colours]:
    """Return the hashes (n,) and thumbnails (n, 8, 8, 3) of the pictures of the store in `rows` (n,)."""
    hashes, colours = np.empty(len(rows), np.uint64), np.empty((len(rows), 8, 8, 3), np.uint8)
    with ThreadPoolExecutor(min(8, processors())) as pool:
        # Decoding a JPEG lets other threads work; what is kept raw is faster without them.
        each = map if store.encoding == "raw" else pool.map
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            smalls = list(each(lambda row: small(store[int(row)]), rows[part]))
            hashes[part], colours[part] = hashed(np.stack(smalls))
    return hashes, colours


def _classes(manifest: pd.DataFrame) -> Numbers:
    """Return a number for the class of each picture, or for its set of labels; -1 where it has none."""
    if manifest["class_name"].notna().any():
        names = manifest["class_name"]
    else:
        names = manifest["labels"].map(lambda labels: "\n".join(sorted(labels)) if labels else None)
    return pd.factorize(names)[0].astype(np.int64)


def _equal(contents: Numbers) -> Pairs:
    """Return pairs (P, 2) of the first picture of a content and each of the others."""
    _, first, of_row = np.unique(contents, return_index=True, return_inverse=True)
    rows = np.arange(len(contents))
    result: Pairs = np.stack([first[of_row], rows], axis=1)[first[of_row] != rows]
    return result


def _roles(manifest: pd.DataFrame, splits: Mapping[str, pd.DataFrame]) -> dict[str, Numbers]:
    """Return a number for the role of each picture by split, -1 where it takes no part."""
    named = {name: manifest["id"].map(split.set_index("id")["role"]) for name, split in splits.items()}
    if manifest["split"].notna().any():
        named[SOURCE] = manifest["split"]
    return {name: pd.factorize(role)[0].astype(np.int64) for name, role in named.items()}


def _apart(pairs: Pairs, values: Numbers) -> NDArray[np.bool_]:
    """Say of each pair (P, 2) whether both pictures have a value, and not the same."""
    left, right = values[pairs[:, 0]], values[pairs[:, 1]]
    result: NDArray[np.bool_] = (left != right) & (left >= 0) & (right >= 0)
    return result


def _looks(
    pairs: Pairs,
    equal: bool,
    classes: Numbers,
    roles: Mapping[str, Numbers],
) -> list[Look]:
    conflict = _apart(pairs, classes)
    across = {name: _apart(pairs, values) for name, values in roles.items()}
    return [
        Look(
            int(first),
            int(second),
            equal,
            bool(conflict[place]),
            tuple(name for name, differs in across.items() if differs[place]),
        )
        for place, (first, second) in enumerate(pairs)
    ]


def _counted(
    pairs: Pairs,
    contents: Numbers | None,
    classes: Numbers,
    roles: Mapping[str, Numbers],
) -> dict[str, Any]:
    """Count the pictures in pairs, and those with another class or in another role than the one they look like.

    With `contents`, the pictures of all groups of equal content, whichever of them the pairs name.
    """

    def pictures(values: Numbers) -> int:
        if contents is None:
            return len(np.unique(pairs[_apart(pairs, values)]))
        frame = pd.DataFrame({"content": contents, "value": values})
        known = frame[frame["value"] >= 0]
        several = known.groupby("content")["value"].nunique()
        return int(known["content"].isin(several.index[several > 1]).sum())

    return {
        "pairs": len(pairs),
        "pictures": len(np.unique(pairs)),
        "conflicts": pictures(classes),
        "across": {name: count for name, values in roles.items() if (count := pictures(values))},
    }


def _sizes(manifest: pd.DataFrame) -> dict[str, Any]:
    """Return how large the originals are, and which are tiny or long."""
    sides = manifest[["width", "height"]]
    shorter, longer = sides.min(axis=1), sides.max(axis=1)
    aspect = longer / shorter
    return {
        "shorter_side": [int(shorter.min()), int(shorter.median()), int(shorter.max())],
        "longer_side": [int(longer.min()), int(longer.median()), int(longer.max())],
        "aspect": float(aspect.max()),
        "tiny": _few(manifest, shorter.where(shorter < TINY)),
        "elongated": _few(manifest, -aspect.where(aspect > ELONGATED)),
    }


def _few(manifest: pd.DataFrame, rank: pd.Series) -> dict[str, Any]:
    """Count what has a rank, and name the pictures with the smallest."""
    ranked = rank.dropna().sort_values(kind="stable")
    return {"pictures": len(ranked), "ids": manifest["id"][ranked.index[:NAMED]].tolist()}


def _class_counts(manifest: pd.DataFrame) -> dict[str, Any] | None:
    """Return the smallest and the largest class, and how many have a single picture; None without classes."""
    names = manifest["class_name"].dropna()
    counts = (names if len(names) else manifest["labels"].explode().dropna()).value_counts()
    if not len(counts):
        return None
    return {
        "least": [str(counts.idxmin()), int(counts.min())],
        "most": [str(counts.idxmax()), int(counts.max())],
        "single": int((counts == 1).sum()),
    }
