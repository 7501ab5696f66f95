"""The facts that expectations are about: columns computed from a manifest or a split, one row per picture."""

import json
import math
from typing import Any

import pandas as pd

from fieldmark.datasets.acquire.schema import DatasetParams
from fieldmark.datasets.preparing.pictures import resized_shape

NAMED = 3  # copies
FAR_OUTSIDE = 1e9  # pixels: stands for a box without area, or one with numbers that are not finite


def manifest_facts(manifest: pd.DataFrame, params: DatasetParams) -> pd.DataFrame:
    """Return id, row, sha256, sides and aspect of the original, and what is wrong with label, box, captions.

    `label_error` is how far the label is from the index of the class among the sorted class names. `box_past_edge`
    is in pixels of the stored picture (NaN without a box). `captions`, `blank_captions`, `labels` and `odd_labels`
    (blank or repeated labels) are counts.
    """
    sides = manifest[["width", "height"]]
    return pd.DataFrame(
        {
            "id": manifest["id"],
            "row": manifest["row"],
            "sha256": manifest["sha256"],
            "shorter_side": sides.min(axis=1),
            "longer_side": sides.max(axis=1),
            "aspect": sides.max(axis=1) / sides.min(axis=1),
            "label_error": (manifest["label"] - _index_in_sorted(manifest["class_name"])).abs(),
            "captions": manifest["captions"].map(len),
            "blank_captions": manifest["captions"].map(lambda texts: sum(not text.strip() for text in texts)),
            "has_box": manifest["box"].notna().astype(int),
            "box_past_edge": _past_edge(manifest, params),
            "mask_row": manifest["mask_row"],
            "labels": manifest["labels"].map(len),
            "odd_labels": manifest["labels"].map(_odd),
        }
    )


def has_labels(manifest: pd.DataFrame) -> bool:
    """Say whether this is a set with several labels per picture."""
    return bool((manifest["labels"].map(len) > 0).any())


def longtail_facts(split: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return id, role and what must agree with the manifest, for a split of pictures with several labels.

    `row_error` and `content_roles` are as in `split_facts`. `label_error` is how far the label is from -1, which it
    must be here, for the labels are in the manifest. `untrained` counts the labels of a picture that no training
    picture has.
    """
    known = manifest.set_index("id")
    labels = split["id"].map(known["labels"]).map(lambda names: names if isinstance(names, list) else [])
    trained = {name for names in labels[split["role"] == "train"] for name in names}
    return _agreement(split, manifest, -1).assign(
        untrained=labels.map(lambda names: len(set(names) - trained))
    )


def landmark_facts(split: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return id, role and what must agree with the manifest, for a split whose queries list what they should find.

    `row_error`, `label_error` and `content_roles` are as in `longtail_facts`. `findable` is 1 for a query with easy or
    hard pictures (NaN for the gallery).
    """
    known = manifest.set_index("id")
    queries = split["role"] == "query"
    lists = split["id"].map(known["attributes"])[queries].map(json.loads)
    findable = lists.map(lambda names: int(bool(names.get("easy", "") + names.get("hard", ""))))
    return _agreement(split, manifest, -1).assign(findable=findable.reindex(split.index).astype(float))


def split_facts(split: pd.DataFrame, manifest: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return id, role and, per picture, what must agree with the manifest and with the other pictures.

    `row_error` is NaN for a picture that the manifest lacks. `class_sides` is 2 when its class is both trained on
    and evaluated. `content_roles` counts the roles of all pictures with the same content. `test_pictures` counts the
    test pictures of its class (NaN for a picture that is not for the test). `unseen` is 1 when its class has no
    training picture.
    """
    train = split["role"] == "train"
    names = split["class_name"]
    trained, evaluated = names.isin(names[train].unique()), names.isin(names[~train].unique())
    tests = names.where(split["role"] == "test")
    expected = _index_in_sorted(names)
    if kind == "retrieval":
        expected = _index_in_sorted(names.where(train)).where(train, _index_in_sorted(names.mask(train)))
    return _agreement(split, manifest, expected).assign(
        class_sides=trained.astype(int) + evaluated.astype(int),
        test_pictures=tests.map(tests.value_counts()),
        unseen=(~trained).astype(int),
    )


def _agreement(split: pd.DataFrame, manifest: pd.DataFrame, labels: pd.Series | int) -> pd.DataFrame:
    """Return what every kind of split is asked for: rows and contents as in the manifest, and the right labels."""
    known = manifest.set_index("id")
    return pd.DataFrame(
        {
            "id": split["id"],
            "role": split["role"],
            "row_error": (split["row"] - split["id"].map(known["row"])).abs(),
            "label_error": (split["label"] - labels).abs(),
            "content_roles": split["role"].groupby(split["id"].map(known["sha256"])).transform("nunique"),
        }
    )


def left_out(split: pd.DataFrame, manifest: pd.DataFrame) -> dict[str, Any]:
    """Return how many pictures take no part in a split, and how many of them are equal to one in it (`copies`).

    `ids` are the first of the copies. Empty where every picture takes part.
    """
    # Of strings that Arrow keeps, pandas looks the values up one by one; of those of Python, in a table.
    ids, contents = manifest["id"].astype(object), manifest["sha256"].astype(object)
    takes_part = ids.isin(split["id"].astype(object))
    copies = ids[~takes_part & contents.isin(contents[takes_part])].tolist()
    absent = int((~takes_part).sum())
    return {"pictures": absent, "copies": len(copies), "ids": copies[:NAMED]} if absent else {}


def class_balance(names: pd.Series) -> dict[str, Any]:
    """Return how many pictures and classes there are, and how many times larger the largest class is (`imbalance`)."""
    counts = names.value_counts()
    if not len(counts):
        return {"pictures": len(names), "classes": 0}
    smallest, largest = int(counts.min()), int(counts.max())
    return {
        "pictures": len(names),
        "classes": len(counts),
        "pictures_per_class": {"least": smallest, "most": largest},
        "imbalance": largest / smallest,
    }


def label_balance(labels: pd.Series) -> dict[str, Any]:
    """Return `class_balance` for pictures with several labels each, how many they have, and the counts."""
    balance = class_balance(labels.explode().dropna())
    counts = labels.explode().dropna().value_counts()
    return {
        **balance,
        "pictures": len(labels),
        "labels_per_picture": float(labels.map(len).mean()),
        "unlabelled": int((labels.map(len) == 0).sum()),
        "counts": {str(name): int(count) for name, count in sorted(counts.items())},
    }


def _odd(labels: list[str]) -> int:
    return len(labels) - len({name for name in labels if name.strip()})


def _index_in_sorted(names: pd.Series) -> pd.Series:
    order = {name: index for index, name in enumerate(sorted(names.dropna().unique()))}
    return names.map(order).fillna(-1).astype("int64")


def _past_edge(manifest: pd.DataFrame, params: DatasetParams) -> pd.Series:
    """Return by how many pixels each box reaches past the edge of its stored picture; negative for a box inside."""
    values = [
        float("nan")
        if box is None
        else _box_past_edge(box, *resized_shape(height, width, params.side, params.shape))
        for box, height, width in zip(manifest["box"], manifest["height"], manifest["width"], strict=True)
    ]
    return pd.Series(values, index=manifest.index, dtype=float)


def _box_past_edge(box: list[float], height: int, width: int) -> float:
    x, y, w, h = box
    if not all(math.isfinite(value) for value in box) or w <= 0 or h <= 0:
        return FAR_OUTSIDE
    return max(-x, -y, x + w - width, y + h - height)
