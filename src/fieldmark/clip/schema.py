"""Parameters of the `clips:` and `prompts:` sections."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from fieldmark.base.blocks import Block
from fieldmark.datasets.data.transforms import ImageParams
from fieldmark.engine.params import TrainParams
from fieldmark.towers.templates import fields

PHOTO = "a photo of a {}."


class ClipParams(Block):
    """One item of `clips:`: a CLIP of open_clip, and either its weights or how to train it on a split.

    Trained on the captions of the split's "train" pictures and on `sentences`, templates of a picture's
    annotations such as "a {back_colour} {shape}", which hold where the picture has all that they name.
    """

    dataset: str  # the split's
    split: str  # scored on its "test" pictures
    arch: str | None = None  # open_clip's name; None: the network of `config`
    config: dict[str, Any] = Field(default_factory=dict)  # embed_dim, vision_cfg and text_cfg of open_clip
    pretrained: str | None = None  # a tag of open_clip (downloaded) or a file of weights
    mean: tuple[float, float, float] | None = None  # what the weights were trained with; None: open_clip's
    std: tuple[float, float, float] | None = None
    templates: tuple[str, ...] = (PHOTO,)  # for class names in zero-shot classification
    sentences: tuple[str, ...] = ()
    images: ImageParams
    train: TrainParams | None = None

    @field_validator("templates")
    @classmethod
    def _one_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        return _prompt_templates(templates)

    @field_validator("sentences")
    @classmethod
    def _named_places(cls, sentences: tuple[str, ...]) -> tuple[str, ...]:
        for sentence in sentences:
            if not fields(sentence) or "" in fields(sentence):
                raise ValueError(f"'{sentence}' must name what it tells, as in 'a {{colour}} {{shape}}'")
        return sentences

    @model_validator(mode="after")
    def _consistent(self) -> "ClipParams":
        if (self.arch is None) == (not self.config):
            raise ValueError("name either an arch of open_clip or a config")
        if (self.pretrained is None) == (self.train is None):
            raise ValueError("name either pretrained weights or a train block")
        if self.images.resize is not None:
            raise ValueError("a CLIP sees its pictures resized to images.size; leave images.resize out")
        return self


class PromptParams(Block):
    """One item of `prompts:`: the class names of a data set in the text space of a CLIP.

    `text` says what stands for a class in the templates: its name, or what the manifest notes of all its
    pictures alike, as in "{name}, a {back_colour} {shape}", where names are arbitrary. `zero_shot` adds the
    image tower's features of every picture.
    """

    dataset: str
    clip: str
    templates: tuple[str, ...] = (PHOTO,)
    text: str = "{name}"
    zero_shot: bool = False

    @field_validator("templates")
    @classmethod
    def _one_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        return _prompt_templates(templates)

    @field_validator("text")
    @classmethod
    def _named_places(cls, text: str) -> str:
        if not fields(text) or "" in fields(text):
            raise ValueError("it must name what stands for a class, as in '{name}'")
        return text


def _prompt_templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    if not templates or any(fields(one) != [""] for one in templates):
        raise ValueError("every template needs one {} for the class, and there must be one")
    return templates
