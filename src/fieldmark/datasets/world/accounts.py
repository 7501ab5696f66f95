"""Captions of a scene: sentences on where it is and what is seen there, some with a remark that says nothing."""

import random
from collections.abc import Sequence

from fieldmark.datasets.world.captions import REMARKS

WHERE = {
    "lake": ("at the lake", "by the still water", "on the shore of a lake"),
    "village": ("in the village", "in a quiet street", "on the village green"),
    "meadow": ("in a meadow", "on the grass", "in the fields"),
    "forest": ("in the forest", "among the trees of a wood", "in the woods"),
    "shore": ("at the sea", "on the beach", "on a sandy shore"),
}
OPENINGS = ("there is", "one can see", "i saw", "this picture shows", "here is", "")
UNCOUNTED = ("reeds",)


def tell_scene(rng: random.Random, habitat: str, names: Sequence[str], count: int) -> tuple[str, ...]:
    """Write `count` different sentences about a habitat in which the named categories are seen."""
    sentences: list[str] = []
    while len(sentences) < count:
        sentence = _sentence(rng, habitat, names)
        if sentence not in sentences:
            sentences.append(sentence)
    return tuple(sentences)


def _sentence(rng: random.Random, habitat: str, names: Sequence[str]) -> str:
    where = rng.choice(WHERE[habitat])
    told = rng.sample(names, rng.randint(min(2, len(names)), len(names)))
    listed = " and ".join(filter(None, (", ".join(map(_noun, told[:-1])), *map(_noun, told[-1:]))))
    opening = rng.choice(OPENINGS)
    sentence = f"{opening} {listed or 'nothing but the weather'} {where}".strip()
    return sentence + (f", {rng.choice(REMARKS)}" if rng.random() < 0.3 else "")


def _noun(name: str) -> str:
    if name.split()[-1] in UNCOUNTED:
        return f"some {name}"
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
