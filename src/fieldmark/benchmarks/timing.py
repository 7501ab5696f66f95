"""Timing actions in turn, A B A B ...: when the speed of the machine changes, it changes for all of them."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

WARM_UP = 2


def in_turn(
    actions: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = WARM_UP
) -> dict[str, list[float]]:
    """Return the seconds of each action in each round, after warming up."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + warm_up):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def table(title: str, seconds: Mapping[str, Sequence[float]], items: int, unit: str) -> str:
    """Lay out medians, minima, rates and the median of the round-by-round ratios to the first action."""
    first = next(iter(seconds))
    lines = [title, f"  {'':34s} {'median':>12s} {'minimum':>12s} {unit + '/s':>10s} {'of first':>9s}"]
    for name, values in seconds.items():
        median, least = statistics.median(values), min(values)
        ratio = statistics.median(a / b for a, b in zip(values, seconds[first], strict=True))
        lines.append(
            f"  {name:34s} {1000 * median:9.1f} ms {1000 * least:9.1f} ms {items / median:10.0f} {ratio:9.2f}"
        )
    return "\n".join(lines)
