"""Which of many pictures a figure shows: chosen by a fixed rule, so that nobody picks what looks good."""


def evenly(count_available: int, wanted: int) -> list[int]:
    """Return the indices of the middles of `wanted` equal parts of `count_available` things; of fewer, all indices."""
    parts = min(wanted, count_available)
    return [(2 * part + 1) * count_available // (2 * parts) for part in range(parts)]
