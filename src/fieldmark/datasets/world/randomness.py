"""The random numbers of the world: all of them come from here."""

import random


def stream(*key: str | int) -> random.Random:
    """Return the random stream that a key names: the same on every machine, whatever else was drawn."""
    return random.Random("/".join(map(str, key)))  # noqa: S311 (pictures, not secrets)
