"""The items of `prompts:` in `params.yaml`."""

from typing import Self

from pydantic import field_validator, model_validator

from fieldmark.base.blocks import Block
from fieldmark.towers.templates import PHOTO, checked_templates, fields


class VectorsParams(Block):
    """Category vectors in files: `file` (.npy, .safetensors) holds rows (classes, dim), `names` one name a line."""

    file: str
    names: str


class PromptParams(Block):
    """One item of `prompts:`: the class names of a data set in the text space of a CLIP, or vectors of a file.

    `text` says what stands for a class in the templates: its name, or attributes that are equal in all its pictures,
    as in "{name}, a {back_colour} {shape}", where names alone say little. `zero_shot` adds the features that the
    image tower gives for every picture. With `vectors` there is no CLIP, and so none of these three.
    """

    dataset: str
    clip: str
    templates: tuple[str, ...] = (PHOTO,)
    text: str = "{name}"
    zero_shot: bool = False
    vectors: VectorsParams | None = None

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
        return self
