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
    `{label}` stands for each label of a picture, or for its class: captions tell of a picture as a whole, and a CLIP
    that has read nothing else ranks pictures poorly by the name of one thing in them.

    With `image_lr` 0 the network of the image tower is locked: the texts learn to read what it already sees, and of the
    image tower only what timm's network is pooled by is trained (X. Zhai et al. 2022, LiT, arXiv 2111.07991).
    """

    dataset: str  # the split's
    split: str  # scored on its "test" pictures
    arch: str | None = None  # open_clip's name; None: the network of `config`
    config: dict[str, Any] = Field(default_factory=dict)  # embed_dim, vision_cfg and text_cfg of open_clip
    pretrained: str | None = None  # a tag of open_clip, which is downloaded, or a file of weights
    mean: tuple[float, float, float] | None = None  # what the weights were trained with; None: open_clip's
    std: tuple[float, float, float] | None = None
    image_weights: str | None = None  # a file of weights to train the image tower on from, under timm's names
    image_lr: float = Field(default=1.0, ge=0.0)  # multiple of train.lr for that network; 0 locks it
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
        if self.pretrained is not None and (self.image_weights is not None or self.image_lr != 1.0):
            raise ValueError(
                "image_weights and image_lr are for training; pretrained weights are those of both towers"
            )
        if self.image_weights is not None and "timm_model_name" not in self.config.get("vision_cfg", {}):
            raise ValueError(
                "image_weights are weights of timm; name their network in config.vision_cfg.timm_model_name"
            )
        if self.image_weights is not None and (self.mean is None or self.std is None):
            raise ValueError(
                "image_weights need mean and std, those of the pictures that they were trained with"
            )
        if self.images.resize is not None:
            raise ValueError("a CLIP sees its pictures resized to images.side; leave images.resize out")
        return self
