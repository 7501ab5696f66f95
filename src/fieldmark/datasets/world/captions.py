"""Captions of a photograph: sentences with facts, synonyms and omissions, and with remarks that say nothing.

What is said of a bird or thing is always true of its class. Song and habitat are told in words only.
"""

import random
from collections.abc import Mapping

# Each word belongs to one colour only, so that it is clear which colour a sentence means.
COLOUR_WORDS = {
    "grey": ("grey", "gray"),
    "rufous": ("rufous", "rusty"),
    "chestnut": ("chestnut", "reddish brown"),
    "ochre": ("ochre", "tawny"),
    "buff": ("buff", "sandy"),
    "sky": ("pale blue", "sky blue"),
    "slate": ("slate", "dark grey"),
    "cream": ("cream", "creamy"),
    "blue": ("deep blue", "bright blue"),
    "red": ("red", "bright red"),
    "yellow": ("yellow", "lemon yellow"),
    "black": ("black", "jet black"),
    "white": ("white", "snowy white"),
}
PLACES = {
    "crown_colour": ("crown", "cap"),
    "throat_colour": ("throat", "chin"),
    "breast_colour": ("breast", "chest"),
    "belly_colour": ("belly", "abdomen"),
    "back_colour": ("back", "mantle"),
    "wing_colour": ("wings", "flight feathers"),
    "tail_colour": ("tail", "tail feathers"),
    "leg_colour": ("legs", "feet"),
    "head_colour": ("cheeks", "sides of the head"),
    "eye_colour": ("eyes",),
    "rump_colour": ("rump",),
}
PLURAL = ("wings", "flight feathers", "tail feathers", "legs", "feet", "cheeks", "sides of the head", "eyes")
BILLS = {
    "fine": "thin pointed",
    "tiny": "weak",
    "conical": "thick conical",
    "straight": "straight",
    "dagger": "dagger shaped",
    "hooked": "hooked",
    "decurved": "curved",
    "upturned": "upturned",
    "flat": "flat broad",
    "spoon": "spoon shaped",
    "massive": "massive hooked",
    "toucan": "huge",
    "needle": "needle thin",
    "bent": "bent",
    "stout": "stout",
}
REMARKS = (
    "the light was fading", "it was a misty morning", "there was some wind", "someone was walking a dog nearby",
    "i saw it on the way home", "the picture is a little grainy", "it stayed for a minute", "we had just had lunch",
    "it did not seem to mind us", "a train passed in the distance",
)  # fmt: skip
OPENINGS = (
    "this bird has",
    "a bird with",
    "the bird has",
    "it has",
    "this is a bird with",
    "a {size} bird with",
)
SIZES = {
    "wren": "tiny",
    "heron": "large",
    "curlew": "large",
    "warbler": "small",
    "finch": "small",
    "flamingo": "large",
}


def colour_word(rng: random.Random, name: str) -> str:
    """Return a word for a named colour."""
    return rng.choice(COLOUR_WORDS.get(name, (name,)))


def write_captions(rng: random.Random, attributes: Mapping[str, str], count: int) -> tuple[str, ...]:
    """Write `count` different captions for something with these attributes."""
    tell = _bird_caption if "bill_shape" in attributes else _thing_caption
    captions: list[str] = []
    while len(captions) < count:
        sentence = tell(rng, attributes)
        if sentence not in captions:
            captions.append(sentence)
    return tuple(captions)


def _bird_caption(rng: random.Random, attributes: Mapping[str, str]) -> str:
    facts = _bird_facts(rng, attributes)
    told = rng.sample(facts, min(len(facts), rng.randint(2, 4)))
    size = SIZES.get(attributes["shape"], "medium sized")
    sentence = f"{rng.choice(OPENINGS).format(size=size)} {_listed(told)}"
    if rng.random() < 0.35:
        sentence += rng.choice(
            (f" and its song is {attributes['song']}", f" and lives near {attributes['habitat']}")
        )
    if rng.random() < 0.25:
        sentence += f", {rng.choice(REMARKS)}"
    return sentence


def _bird_facts(rng: random.Random, attributes: Mapping[str, str]) -> list[str]:
    """Return everything that can be said of how a bird looks, each fact in one wording."""
    facts = [*(_coloured(rng, attributes, key) for key in PLACES), _bill(rng, attributes)]
    marks = (_wing_bars, _wing_patch, _eye_ring, _tail_tip)
    marked = [
        *(mark(rng, attributes) for mark in marks),
        _face(attributes),
        _pattern(attributes),
        _crest(attributes),
    ]
    return facts + [fact for fact in marked if fact is not None]


def _coloured(rng: random.Random, attributes: Mapping[str, str], key: str) -> str:
    noun = rng.choice(PLACES[key])
    article = "" if noun in PLURAL else "a "
    return _an(f"{article}{colour_word(rng, attributes[key])} {noun}")


def _an(phrase: str) -> str:
    return f"an {phrase[2:]}" if phrase.startswith(("a a", "a e", "a i", "a o", "a u")) else phrase


def _bill(rng: random.Random, attributes: Mapping[str, str]) -> str:
    shape, noun = BILLS[attributes["bill_shape"]], rng.choice(("bill", "beak"))
    length = f"{attributes['bill_length']} " if attributes["bill_length"] != "medium" else ""
    colour = f"{colour_word(rng, attributes['bill_colour'])} " if rng.random() < 0.6 else ""
    return _an(f"a {length}{rng.choice((shape + ' ', '')) if colour else shape + ' '}{colour}{noun}")


def _wing_bars(rng: random.Random, attributes: Mapping[str, str]) -> str:
    if attributes["wing_bars"] == "two":
        return rng.choice(("two white wing bars", "double white wing bars", "white wing bars"))
    if attributes["wing_bars"] == "one":
        return rng.choice(("a single white wing bar", "one white bar on the wing"))
    return rng.choice(
        ("plain wings", "unmarked wings") if attributes["wing_patch"] == "none" else ("no wing bars",)
    )


def _eye_ring(rng: random.Random, attributes: Mapping[str, str]) -> str | None:
    ring = attributes["eye_ring"]
    noun = rng.choice(("eye ring", "ring around the eye"))
    return None if ring == "none" else _an(f"a {colour_word(rng, ring)} {noun}")


def _face(attributes: Mapping[str, str]) -> str | None:
    return None if attributes["face"] == "plain" else _an(f"a {attributes['face']}")


def _pattern(attributes: Mapping[str, str]) -> str | None:
    words = {
        "streaked": "a streaked breast",
        "spotted": "a spotted breast",
        "banded": "a band across the breast",
    }
    return words.get(attributes["breast_pattern"])


def _tail_tip(rng: random.Random, attributes: Mapping[str, str]) -> str | None:
    tip = attributes["tail_tip"]
    if tip == "none":
        return f"a {attributes['tail_shape']} tail".replace("a streamers tail", "long tail streamers")
    return _an(f"a {colour_word(rng, tip)} {rng.choice(('tail tip', 'tip to the tail'))}")


def _wing_patch(rng: random.Random, attributes: Mapping[str, str]) -> str | None:
    patch = attributes["wing_patch"]
    return None if patch == "none" else _an(f"a {colour_word(rng, patch)} wing patch")


def _crest(attributes: Mapping[str, str]) -> str | None:
    crest = attributes["crest"]
    return {"none": None, "fan": "a fan shaped crest", "ears": "ear tufts"}.get(crest, f"a {crest} crest")


def _thing_caption(rng: random.Random, attributes: Mapping[str, str]) -> str:
    main, accent = colour_word(rng, attributes["colour"]), colour_word(rng, attributes["accent_colour"])
    marks = {"plain": "no markings", "striped": f"{accent} stripes", "spotted": f"{accent} spots"}
    noun = rng.choice((attributes["shape"], f"{attributes['form']} {attributes['shape']}"))
    start = rng.choice(("", "this is ", "here is ", "a picture of "))
    sentence = start + _an(f"a {main} {noun}") + rng.choice(("", f" with {marks[attributes['pattern']]}"))
    return sentence + (f", {rng.choice(REMARKS)}" if rng.random() < 0.5 else "")


def _listed(facts: list[str]) -> str:
    return facts[0] if len(facts) == 1 else f"{', '.join(facts[:-1])} and {facts[-1]}"
