"""Tables that `dvc plots` draws: each joins what all methods wrote, so that dvc.yaml names one file per plot."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from fieldmark.base.files import atomic_folder
from fieldmark.results.schema import MethodResult

VARIANTS = ("method", "measure", "variant", "value", "low", "high")
LOSSES = ("training", "variant", "step", "loss")
CLASSES = ("method", "class", "variant", "ap")


def write_plots(methods: Sequence[MethodResult], history: Path, folder: Path) -> None:
    """Write `variants.csv`, `losses.csv` and `classes.csv` to `folder`, whole or not at all.

    `history` has a folder per training with the curve of each variant. A table without any row has only its header.
    """
    tables = {
        "variants": (VARIANTS, _variants(methods)),
        "losses": (LOSSES, _losses(history)),
        "classes": (CLASSES, _classes(methods)),
    }
    with atomic_folder(folder) as temporary:
        for name, (columns, rows) in tables.items():
            table = pd.DataFrame(list(rows), columns=list(columns))
            table.to_csv(temporary / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def _variants(methods: Sequence[MethodResult]) -> Iterator[tuple[object, ...]]:
    """Yield the first headline measure of every variant, with its interval."""
    for result in methods:
        name = result.headline[0]
        for variant in result.variants:
            if measure := variant.measures.get(name):
                head = f"{result.method}: {name}"
                yield head, name, variant.name, measure.value, measure.low, measure.high


def _losses(history: Path) -> Iterator[tuple[object, ...]]:
    """Yield the loss of every training at every step that was logged.

    A backbone has a file, a variant a folder with a file for each seed.
    """
    for path in sorted(history.glob("*/*.csv")):
        yield from _losses_of(path, path.parent.name, path.stem)
    for path in sorted(history.glob("*/*/*.csv"), key=lambda path: (path.parent, int(path.stem))):
        alone = len(list(path.parent.glob("*.csv"))) == 1
        variant = path.parent.name if alone else f"{path.parent.name} from seed {path.stem}"
        yield from _losses_of(path, path.parent.parent.name, variant)


def _losses_of(path: Path, training: str, variant: str) -> Iterator[tuple[object, ...]]:
    for row in pd.read_csv(path).itertuples():
        yield training, variant, row.step, row.loss


def _classes(methods: Sequence[MethodResult]) -> Iterator[tuple[object, ...]]:
    """Yield the average precision per class and variant, from the most frequent class to the rarest."""
    for result in methods:
        categories = result.details.get("categories", {}).items()
        for name, category in sorted(categories, key=lambda item: -item[1]["training pictures"]):
            for variant, precision in category["ap"].items():
                yield result.method, name, variant, precision
