"""The items of `prompts:` in `params.yaml`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import field_validator, model_validator

from fieldmark.base.blocks import Block
from fieldmark.towers.templates import PHOTO, checked_templates, fields

WORDS = (".txt", ".vec", ".bin")  # GloVe's or word2vec's text, fastText's, word2vec's binary form


def kind_of(file: str) -> str:
    """Return the suffix that tells how a file is read; `.gz` behind it is passed over."""
    return Path(file.removesuffix(".gz")).suffix


class VectorsParams(Block):
    """Category vectors in files.

    `file` holds rows (classes, dim) and `names` one name a line; or `file` holds a vector for each word, as GloVe
    and word2vec publish them (also packed, .gz), and there is no `names`.
    """

    file: str
    names: str | None = None

    @property
    def of_words(self) -> bool:
        """Whether the file holds words, of which names are put together."""
        return kind_of(self.file) in WORDS

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.of_words and self.names:
            raise ValueError(f"{self.file} has its words in it, so that there are no names; take names out")
        if not self.of_words and self.names is None:
            raise ValueError(
                f"{self.file} wants a file of names, one a line; only a file of words does without "
                f"({', '.join(WORDS)}, also .gz)"
            )
        return self


class PromptParams(Block):
    """One item of `prompts:`: the class names of a data set in the text space of a CLIP, or vectors of a file.

    `text` says what stands for a class in the templates: its name, or attributes that are equal in all its pictures,
    as in "{name}, a {back_colour} {shape}", where names alone say little. `zero_shot` adds the features that the
    image tower gives for every picture. With `vectors` there is no CLIP, and so none of these three; where they are
    those of words, `words` may say of a class which ones stand for its name: {tvmonitor: tv monitor}.
    """

    dataset: str
    clip: str
    templates: tuple[str, ...] = (PHOTO,)
    text: str = "{name}"
    zero_shot: bool = False
    vectors: VectorsParams | None = None
    words: Mapping[str, str] = {}

    @field_validator("templates")
    @classmethod
    def _one_field(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        return checked_templates(templates)

    @field_validator("text")
    @classmethod
    def _named_fields(cls, text: str) -> str:
        if not fields(text) or "" in fields(text):
            raise ValueError("it must name what stands for a class, as in '{name}'")
        return text

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.vectors and self.zero_shot:
            raise ValueError("zero_shot needs a CLIP, and vectors come without one; set zero_shot: false")
        if self.vectors and self.model_fields_set & {"templates", "text"}:
            raise ValueError("templates and text are for a CLIP, and vectors come without one; take them out")
        if self.words and not (self.vectors and self.vectors.of_words):
            raise ValueError("words say what stands for a class in a file of words, and vectors names none")
        return self
