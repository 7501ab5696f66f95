"""The items of `prompts:` in `params.yaml`."""

from pydantic import field_validator

from fieldmark.base.blocks import Block
from fieldmark.towers.templates import PHOTO, checked_templates, fields


class PromptParams(Block):
    """One item of `prompts:`: the class names of a data set in the text space of a CLIP.

    `text` says what stands for a class in the templates: its name, or attributes that are equal in all its pictures,
    as in "{name}, a {back_colour} {shape}", where names alone say little. `zero_shot` adds the features that the
    image tower gives for every picture.
    """

    dataset: str
    clip: str
    templates: tuple[str, ...] = (PHOTO,)
    text: str = "{name}"
    zero_shot: bool = False

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
