"""Reading training curves for the figures."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

Curves = Mapping[str, Mapping[str, list[float]]]


def read_curves(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Read what training wrote: variant -> column -> values; a missing value is NaN."""
    return {
        path.stem: {str(name): column.tolist() for name, column in pd.read_csv(path).astype(float).items()}
        for path in sorted(folder.glob("*.csv"))
    }


def curves_by_loss(curves: Curves) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """Turn what `read_curves` returns into loss -> variant -> (steps, values)."""
    losses: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for variant, columns in curves.items():
        for name, values in columns.items():
            if name not in ("step", "lr"):
                losses.setdefault(name, {})[variant] = (columns["step"], values)
    return losses
