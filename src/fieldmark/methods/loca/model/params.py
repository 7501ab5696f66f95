"""The `loca:` block of `params.yaml`."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from fieldmark.base.blocks import Block
from fieldmark.contract.method import MethodParams
from fieldmark.methods.loca.model.dense import DenseParams
from fieldmark.methods.loca.model.modes import parse_name

# Options of timm's vision transformers that make LOCA's encoder.
FIXED_OPTIONS = {
    "class_token": False,
    "global_pool": "",
    "act_layer": "gelu_tanh",
    "dynamic_img_size": True,
    "positions": "bilinear",
}
Range = tuple[float, float]


class ColourParams(Block):
    """Photometric changes of a view, in this order; defaults are the release's."""

    jitter: float = Field(0.8, ge=0.0, le=1.0)  # probability of the four changes below, in random order
    brightness: float = Field(0.4, ge=0.0)  # max that is added
    contrast: float = Field(0.4, ge=0.0, le=1.0)
    saturation: float = Field(0.2, ge=0.0, le=1.0)
    hue: float = Field(0.1, ge=0.0, le=0.5)  # turns of the colour circle
    grey: float = Field(0.2, ge=0.0, le=1.0)  # probability
    solarize: float = Field(0.2, ge=0.0, le=1.0)  # probability, random query only


class BlurParams(Block):
    """Probabilities of a Gaussian blur. The release means these, but its configuration blurs nothing."""

    reference: float = Field(1.0, ge=0.0, le=1.0)
    random: float = Field(0.1, ge=0.0, le=1.0)
    focal: float = Field(0.5, ge=0.0, le=1.0)
    sigma: Range = (0.1, 2.0)  # pixels; drawn uniformly


class ViewParams(Block):
    """The reference view and the query views; lengths in pixels, areas as fractions of the picture."""

    reference_size: int = Field(224, ge=8)
    reference_area: Range = (0.32, 1.0)
    random_area: Range = (0.32, 1.0)  # of the random query, which has the reference's size
    random_tokens: int = Field(70, ge=1)  # patches of the random query that are kept
    focal_count: int = Field(9, ge=1)
    focal_size: int = Field(96, ge=4)
    focal_area: Range = (0.05, 0.32)
    aspect: Range = (0.75, 1.3333333)  # width over height
    colour: ColourParams = ColourParams()
    blur: BlurParams | None = BlurParams()  # null: as the released configuration runs

    @model_validator(mode="after")
    def _ranges(self) -> "ViewParams":
        for name in ("reference_area", "random_area", "focal_area"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high <= 1.0:
                raise ValueError(f"{name} must be two fractions of the picture, the smaller one first")
        if not 0.0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError("aspect must be two positive ratios, the smaller one first")
        return self


class HeadParams(Block):
    """The clustering head."""

    prototypes: int = Field(4096, ge=2)
    hidden: int = Field(2048, ge=1)
    bottleneck: int = Field(256, ge=1)
    temperature: float = Field(0.1, gt=0.0)  # the student's
    sharpening: float = Field(0.05, gt=0.0)  # the teacher's temperature
    sinkhorn: int = Field(3, ge=1)  # iterations


class EncoderParams(Block):
    """A network in place of the block's."""

    arch: str
    options: dict[str, Any] | None = None

    @field_validator("options")
    @classmethod
    def _free(cls, options: dict[str, Any] | None) -> dict[str, Any] | None:
        return free_options(options)


class LocaParams(MethodParams):
    """LOCA (arXiv 2212.02400). Defaults are the released ImageNet-1k configuration's, its blur as meant."""

    # A mode, with an eta of its own (LOCA-0.5), a network (LOCA+small) or a fraction of the pictures (LOCA@0.1).
    variants: tuple[str, ...] = ("random", "supervised", "position", "LOCA")
    arch: str = "vit_base_patch16_224"  # of timm's plain vision transformers
    options: dict[str, Any] | None = None  # arguments of timm's constructor
    networks: dict[str, EncoderParams] = Field(default_factory=dict)  # that variants name
    eta: float = Field(0.8, ge=0.0, lt=1.0)  # hidden fraction of the reference patches
    masking: Literal["consecutive", "unstructured", "first"] = "consecutive"
    drop_path: float = Field(0.1, ge=0.0, lt=1.0)  # rate of stochastic depth in the last layer
    momentum: float = Field(0.996, ge=0.0, le=1.0)  # of the teacher at the first step; 1 at the end
    views: ViewParams = ViewParams()
    head: HeadParams = HeadParams()
    dense: DenseParams = DenseParams()  # how the evaluation judges the features

    @property
    def judged_side(self) -> int:
        """The side of the pictures of dense prediction."""
        return self.dense.images.side

    @field_validator("variants")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            parse_name(name)
        return names

    @field_validator("options")
    @classmethod
    def _free(cls, options: dict[str, Any] | None) -> dict[str, Any] | None:
        return free_options(options)

    @model_validator(mode="after")
    def _networks_there(self) -> "LocaParams":
        for name in self.variants:
            network = parse_name(name).network
            if network and network not in self.networks:
                known = ", ".join(self.networks) or "none"
                raise ValueError(f"variants: {name} names a network that networks does not have ({known})")
        return self


def free_options(options: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the options as they are. Raises ValueError for one that LOCA sets itself."""
    taken = sorted({*FIXED_OPTIONS, "img_size", "num_classes"} & set(options or {}))
    if taken:
        raise ValueError(f"{taken[0]} is set by LOCA itself; leave it out")
    return options
