"""The items of `clip_models:` in `params.yaml`."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from fieldmark.base.blocks import Block
from fieldmark.datasets.data.batches.transforms import ImageParams
from fieldmark.engine.params import TrainParams
from fieldmark.towers.templates import PHOTO, checked_templates, fields


class ClipParams(Block):
    """One item of `clip_models:`: a CLIP of open_clip, and either its weights or how to train it on a split.

    It is trained on the captions of the split's "train" pictures and on `sentences`: templates for the annotations of
    a picture such as "a {back_colour} {shape}", which are used where the picture has all annotations that they name.
    """

    dataset: str  # the split's
    split: str  # scored on its "test" pictures
    arch: str | None = None  # open_clip's name; None: the network of `config`
    config: dict[str, Any] = Field(default_factory=dict)  # embed_dim, vision_cfg and text_cfg of open_clip
    pretrained: str | None = None  # a tag of open_clip, which is downloaded, or a file of weights
    mean: tuple[float, float, float] | None = None  # what the weights were trained with; None: open_clip's
    std: tuple[float, float, float] | None = None
    templates: tuple[str, ...] = (PHOTO,)  # for class names in zero-shot classification
    sentences: tuple[str, ...] = ()
    images: ImageParams
    train: TrainParams | None = None

    @field_validator("templates")
    @classmethod
    def _one_field(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        return checked_templates(templates)

    @field_validator("sentences")
    @classmethod
    def _named_fields(cls, sentences: tuple[str, ...]) -> tuple[str, ...]:
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
            raise ValueError("a CLIP sees its pictures resized to images.side; leave images.resize out")
        return self
