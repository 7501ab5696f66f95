"""From a text to its noun phrases with the built-in tagger: every step by hand."""

import subprocess
import sys

import pytest

from fieldmark.base.errors import UserError
from fieldmark.language import noun_phrases
from fieldmark.language.builtin import BuiltinTagger
from fieldmark.language.chunking import Chunker
from fieldmark.language.nouns import Extractor
from fieldmark.language.tokens import sentences, words


def tags(text):
    return " ".join(tag for _, tag in BuiltinTagger().tag(text.split()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("this bird has a short orange bill and a white belly.", ["short orange bill", "white belly"]),
        ("A Bird With Two White Wing Bars", ["two white wing bars"]),
        ("a very long, slightly curved beak", ["slightly curved beak"]),
        ("its wings are black; its tail is short", ["wings", "tail"]),
        ("red eyes, red eyes and the red eyes", ["red eyes"]),
        ("the bird's beak’s tip", ["beak", "tip"]),
        ("a dagger shaped bill and needle thin legs", ["dagger shaped bill", "needle thin legs"]),
        ("no wing bars", ["no wing bars"]),
        ("white wings.the tail is red", ["white wings", "tail"]),
        ("a 2.5 inch bill", ["2.5 inch bill"]),
        ("the light was fading", ["light"]),
        ("a black overall body color", ["black overall body color"]),
        ("it is white with grey on its wings", ["grey", "wings"]),
        ("brown and white wings with black", ["white wings", "black"]),
        ("light wings with a rounded top", ["light wings", "rounded top"]),
        ("its beak curves downward", ["beak"]),
        ("a bird that has red legs", ["red legs"]),
        ("two white curves", ["two white curves"]),
        ("a white back and wings swept back", ["white back", "wings"]),
        ("a red-winged bird\nwith a grey-black cap", ["red-winged bird", "grey-black cap"]),
        ("the flower, this bird, those birds", []),
        ("very quickly and often", []),
        ("", []),
        (" \n\t ", []),
        ("?!... ,;: -- ''", []),
        ("🐦 … ¡!", []),
        ("une ÉTOILE bleue", ["une étoile bleue"]),
        ("a {red} <tail> % tip\x00", ["tail", "tip"]),
    ],
)
def test_phrases_of_a_text(text, expected):
    assert noun_phrases(text) == expected


def test_words_between_brackets_do_not_confuse_the_grammar():
    assert noun_phrases("a bird (with <DT> {NN} tags) and red legs")[-1] == "red legs"


def test_a_long_text_is_no_trouble():
    assert noun_phrases("a red tail and " * 2000) == ["red tail"]


def test_sentences_and_words():
    assert sentences("It's RED. Is it? yes!\nno 2.5 end") == ["it's red", "is it", "yes", "no 2.5 end"]
    assert words("it's red, (not) blue-ish") == ["it", "'s", "red", ",", "(", "not", ")", "blue-ish"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("it has a zibbled kroof with flurfy stoods", "PRP VBZ DT VBN NN IN JJ NNS"),
        ("it is vividly glossous and tailless", "PRP VBZ RB JJ CC JJ"),
        ("it 's red , 12 cm ( large )", "PRP VBZ JJ , CD NN ( JJ )"),
        ("a bird that is red", "DT NN WDT VBZ JJ"),
        ("that red bird", "DT JJ NN"),
        ("the white of its eye", "DT NN IN PRP$ NN"),
        ("the coloring is odd", "DT NN VBZ JJ"),
        ("a duck-like bird", "DT JJ NN"),
    ],
)
def test_tags_by_lexicon_ending_and_neighbours(text, expected):
    assert tags(text) == expected


def test_another_grammar_and_other_generic_phrases():
    adjectives = Extractor(BuiltinTagger(), Chunker("NP: {<JJ>+<NN>}"), {"red bill"})
    assert adjectives.phrases("a red bill, a long tail, wings") == ["long tail"]
    two = Extractor(BuiltinTagger(), Chunker("NP: {<NN>}\nAP: {<JJ>}"), ())
    assert two.phrases("a red bill") == ["red", "bill"]


@pytest.mark.parametrize("grammar", ["NP: {<JJ", "", "{<NN>}{", "NP: <NN>"])
def test_a_malformed_grammar_is_one_line(grammar):
    with pytest.raises(UserError, match=r"grammar: (nltk\.RegexpParser refuses|it is empty)") as caught:
        Chunker(grammar)
    assert "\n" not in str(caught.value)


def test_captions_of_a_picture_share_phrases_and_are_capped():
    extractor = Extractor(BuiltinTagger(), Chunker())
    captions = ["a red bill and a long tail", "", "a long tail", "white legs"]
    assert extractor.of_captions(captions) == {"red bill": [0], "long tail": [0, 2], "white legs": [3]}
    assert extractor.of_captions(captions, 2) == {"red bill": [0], "long tail": [0, 2]}
    assert extractor.of_captions([]) == {}


def test_reading_phrases_needs_no_nltk():
    code = "import sys, fieldmark.texts.phrases; sys.exit('nltk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(ImportError):
        exec("from fieldmark.language import verb_phrases")
