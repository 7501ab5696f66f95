"""Reading training curves for the figures."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

Columns = Mapping[str, list[float]]
Curves = Mapping[str, Mapping[int, Columns]]


def read_curves(folder: Path) -> dict[str, dict[int, dict[str, list[float]]]]:
    """Read what training wrote: variant -> seed, rising -> column -> values; a missing value is NaN."""
    curves: dict[str, dict[int, dict[str, list[float]]]] = {}
    for path in sorted(folder.glob("*/*.csv"), key=lambda path: (path.parent.name, int(path.stem))):
        table = pd.read_csv(path).astype(float)
        columns = {str(name): column.tolist() for name, column in table.items()}
        curves.setdefault(path.parent.name, {})[int(path.stem)] = columns
    return curves


def labelled(curves: Curves) -> dict[str, Columns]:
    """Return every curve by a name for it: that of the variant, with the seed where there are several."""
    return {
        variant if len(by_seed) == 1 else f"{variant} from seed {seed}": columns
        for variant, by_seed in curves.items()
        for seed, columns in by_seed.items()
    }


def curves_by_loss(curves: Curves) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Turn what `read_curves` returns into loss -> variant -> (steps, values), of the first seeds."""
    losses: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for variant, by_seed in curves.items():
        columns = by_seed[min(by_seed)]
        for name, values in columns.items():
            if name not in ("step", "lr"):
                losses.setdefault(name, {})[variant] = (columns["step"], values)
    return losses
