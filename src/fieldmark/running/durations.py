"""A table of what the stages of a run took."""

from collections.abc import Sequence

from fieldmark.base.durations import Duration

REST = "dvc"  # what DVC itself does: hashing, copying into its cache, starting the stages


def duration_table(durations: Sequence[Duration], total: float, side_by_side: bool = False) -> str:
    """Return a line per stage in the order of `durations` with its seconds and its share of `total`, in seconds.

    What no stage accounts for is shown as DVC's. Where stages ran side by side they add up to more than `total`: then
    shares are of their sum, and `total` is shown below it. Empty when no stage ran.
    """
    if not durations:
        return ""
    spent = sum(duration.seconds for duration in durations)
    rows = [(_name(duration), duration.seconds) for duration in durations]
    rows += [("sum", spent)] if side_by_side else [(REST, max(0.0, total - spent)), ("total", total)]
    width = max(len(name) for name, _ in rows)
    whole = rows[-1][1]
    lines = [f"{name:<{width}}  {seconds:8.1f}  {_share(seconds, whole):5.0%}" for name, seconds in rows]
    if side_by_side:
        lines.append(f"{'total':<{width}}  {total:8.1f}  side by side")
    return "\n".join([f"{'stage':<{width}}  {'seconds':>8}  share", *lines])


def _name(duration: Duration) -> str:
    return duration.stage if duration.done else f"{duration.stage} (not done)"


def _share(seconds: float, total: float) -> float:
    return seconds / total if total > 0 else 0.0
