"""What a classifier says of many pictures, as rows of a table."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from fieldmark.inference.pictures import Skipped, in_batches
from fieldmark.trained import Prediction, TrainedModel

COLUMNS = ("path", "rank", "class", "probability", "present")
Row = tuple[str, int, str, str, str]


def predict_files(
    model: TrainedModel, paths: Sequence[Path], skipped: list[Skipped], top: int | None
) -> Iterator[Row]:
    """Yield rows of COLUMNS: of each picture the `top` likeliest classes; None: the classes said to be present.

    Where a picture has one class, that is the likeliest; where it may have several, those from their thresholds on,
    and without any the picture has no row. Raises UserError for a model that does not classify pictures alone.
    """
    for read, predictions in in_batches(model.predict, paths, skipped, "predict"):
        for path, prediction in zip(read, predictions, strict=True):
            yield from _rows(path, prediction, top)


def _rows(path: Path, prediction: Prediction, top: int | None) -> Iterator[Row]:
    present = prediction.present
    said = {name for name, _ in present}
    for rank, (name, value) in enumerate(present if top is None else prediction.top(top), 1):
        yield str(path), rank, name, f"{value:.4f}", "yes" if name in said else "no"


def as_csv(rows: Sequence[Row]) -> str:
    """Return the rows as CSV with a header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return stream.getvalue()


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as a table for reading: columns in line, with a header."""
    lines = [COLUMNS, *[tuple(map(str, row)) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
