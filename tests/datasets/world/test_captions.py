"""Captions: varied, lower case, and true of the species."""

import re

import pytest

from fieldmark.datasets.world.base import make_kinds
from fieldmark.datasets.world.captions import COLOUR_WORDS, PLACES, write_captions
from fieldmark.datasets.world.palette import COLOURS
from fieldmark.datasets.world.randomness import stream
from fieldmark.datasets.world.species import HABITATS, SONGS, make_species

WORDS = {word: name for name in COLOURS for word in COLOUR_WORDS.get(name, (name,))}
NOUNS = {noun: key for key, nouns in PLACES.items() for noun in nouns}
BARS = {
    "plain wings": "none",
    "unmarked wings": "none",
    "no wing bars": "none",
    "white wing bars": "two",
    "a single white wing bar": "one",
}


def said_colours(caption: str) -> list[tuple[str, str]]:
    """Return (attribute, colour) for every phrase such as 'a pale blue breast': the longest colour word counts."""
    words = "|".join(sorted(WORDS, key=len, reverse=True))
    nouns = "|".join(sorted(NOUNS, key=len, reverse=True))
    found = re.findall(rf"\b({words}) ({nouns})\b(?! tip| patch)", caption)
    return [(NOUNS[noun], WORDS[word]) for word, noun in found]


def test_each_colour_word_means_one_colour():
    assert len(WORDS) == sum(len(COLOUR_WORDS.get(name, (name,))) for name in COLOURS)


def test_colours_that_are_said_are_those_of_the_species():
    checked = 0
    for index, species in enumerate(make_species("species", 0, 60, 12)):
        for caption in write_captions(stream("captions", index), species.attributes, 20):
            for key, colour in said_colours(caption):
                assert species.attributes[key] == colour, caption
                checked += 1
    assert checked > 1000


def test_marks_that_are_said_are_those_of_the_species():
    checked = 0
    for index, species in enumerate(make_species("species", 0, 60, 12)):
        for caption in write_captions(stream("marks", index), species.attributes, 20):
            for phrase, bars in BARS.items():
                if phrase in caption:
                    assert species.attributes["wing_bars"] == bars, caption
                    checked += 1
            for pattern in ("streaked", "spotted"):
                assert (f"{pattern} breast" not in caption) or species.attributes["breast_pattern"] == pattern
            if "eye ring" in caption or "ring around" in caption:
                assert species.attributes["eye_ring"] != "none"
    assert checked > 50


def test_song_and_habitat_are_told_in_words_only_and_truly():
    told = 0
    for index, species in enumerate(make_species("species", 0, 60, 12)):
        for caption in write_captions(stream("heard", index), species.attributes, 20):
            songs = {song for song in SONGS if song in caption}
            habitats = {place for place in HABITATS if place in caption}
            assert songs <= {species.attributes["song"]}
            assert habitats <= {species.attributes["habitat"]}
            told += len(songs) + len(habitats)
    assert told > 200


@pytest.mark.parametrize("part", ["species", "base"])
def test_captions_are_different_lower_case_single_lines(part):
    for index, kind in enumerate(make_kinds(part, 0, 60, 12)):
        captions = write_captions(stream(part, index), kind.attributes, 10)
        assert len(set(captions)) == 10
        for caption in captions:
            assert caption == caption.lower().strip()
            assert "\n" not in caption
            assert kind.name.split()[-1].lower() not in caption or part == "base"


def test_articles_agree():
    colours, plurals = "|".join(WORDS), "wings|feathers|legs|feet|cheeks|sides|eyes"
    for index, kind in enumerate([*make_kinds("species", 0, 60, 12), *make_kinds("base", 0, 60, 12)]):
        for caption in write_captions(stream("articles", index), kind.attributes, 10):
            assert not re.search(r"\ba [aeiou](?!ne\b)", caption), caption
            assert not re.search(r"\ban [^aeiou]", caption), caption
            assert not re.search(rf"\ba ({colours}) ({plurals})\b", caption), caption
