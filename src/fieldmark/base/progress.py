"""Progress bars that stay readable when the output is not a terminal."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LOG_SECONDS = 10.0


class _PlainLines:
    """A stream for tqdm that turns the redrawn bar into plain lines."""

    def write(self, text: str) -> None:
        line = text.replace("\r", "").strip()
        if line:
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    initial: int = 0,
    desc: str = "",
    unit: str = "it",
) -> Any:
    """Return a tqdm bar with rate and ETA; without a terminal, one plain line every ten seconds."""
    terminal = sys.stderr.isatty()
    return tqdm(
        iterable,
        total=total,
        initial=initial,
        desc=desc,
        unit=unit,
        file=sys.stderr if terminal else _PlainLines(),
        mininterval=0.2 if terminal else LOG_SECONDS,
        maxinterval=LOG_SECONDS,
        dynamic_ncols=terminal,
        ncols=None if terminal else 100,
        ascii=not terminal,
        unit_scale=unit == "B",
    )
