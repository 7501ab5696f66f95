"""Which of many pictures a figure shows: a fixed rule chooses them, so that nobody picks those that look good."""


def evenly(count_available: int, wanted: int) -> list[int]:
    """Cut `count_available` things into `wanted` equal parts; return the index in the middle of each part.

    Of fewer things than `wanted`, it returns all indices.
    """
    parts = min(wanted, count_available)
    return [(2 * part + 1) * count_available // (2 * parts) for part in range(parts)]
