"""One interface to the networks of timm, torchvision and open_clip: pictures in, tokens or a feature map out.

Each library is imported where its networks are built: they take seconds, and whoever reads parameters or pools
features builds none.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fieldmark.base.errors import UserError
from fieldmark.vision.positions import resize_bilinearly

Library = Literal["timm", "torchvision", "open_clip"]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Features:
    """What a backbone returns: `feature_map` (B, D, h, w); `cls` and `distilled` (B, D) where it has such tokens."""

    feature_map: Tensor
    cls: Tensor | None = None
    distilled: Tensor | None = None

    def named(self) -> dict[str, Tensor]:
        """Return what there is, by name: `Features(**features.named())` is the same again."""
        every = {"feature_map": self.feature_map, "cls": self.cls, "distilled": self.distilled}
        return {name: value for name, value in every.items() if value is not None}


class Trunk(nn.Module, ABC):
    """A network without its classifier."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    network: Any

    @abstractmethod
    def forward(self, images: Tensor) -> Features:
        """Normalised images (B, 3, H, W) -> features after the last layer (and its norm)."""

    @abstractmethod
    def stage_features(self, images: Tensor, stage: int) -> Tensor:
        """Normalised images (B, 3, H, W) -> feature map (B, C, h, w) after stage `stage` (1 = first block)."""


class TimmTrunk(Trunk):
    """Any timm model whose features are a map, or tokens that lie on a grid of patches.

    The option `stem: conv` gives a plain vision transformer a stem of 3x3 convolutions instead of one linear
    patch embedding: it then learns from far fewer pictures (Xiao et al. 2021, arXiv 2106.14881). With
    `positions: bilinear` its position table is resized as LOCA does, not bicubically. With `dilations_of: 32` its
    convolutions are dilated as in the same network of that `output_stride`, whatever its own is.
    """

    def __init__(self, arch: str, options: dict[str, Any], pretrained: bool) -> None:
        super().__init__()
        import timm

        if not timm.is_model(arch):
            raise UserError(f"timm has no model '{arch}'; near it: {', '.join(_similar(arch)) or 'nothing'}")
        positions = options.get("positions")
        own = {name: value for name, value in options.items() if name not in ("positions", "dilations_of")}
        self.network = timm.create_model(arch, pretrained=pretrained, num_classes=0, **_with_stem(own))
        if "dilations_of" in options:
            with torch.device("meta"):
                like = timm.create_model(
                    arch, **{**_with_stem(own), "output_stride": options["dilations_of"]}
                )
            _dilate_as(self.network, like)
        if positions not in (None, "bilinear"):
            raise UserError(f"positions must be bilinear, or left out (it is {positions!r})")
        if positions:
            resize_bilinearly(self.network)
        if _ends_with_pooling(self.network):
            self.network.features[-1] = nn.Identity()
            self.network.pre_logits = nn.Identity()  # most of the weights, and of the classifier as well
        self.mean, self.std = self.network.default_cfg["mean"], self.network.default_cfg["std"]
        self.arch = arch
        self.prefix = int(getattr(self.network, "num_prefix_tokens", 0))
        # Registers come after these, or first where there is no class token.
        self.tokens = [getattr(self.network, name, None) is not None for name in ("cls_token", "dist_token")]

    def forward(self, images: Tensor) -> Features:
        out = self.network.forward_features(images)
        if isinstance(out, Tensor) and out.ndim == 3 and (grid := self._grid(images)):
            if math.prod(grid) != out.shape[1] - self.prefix:
                raise self._no_map()
            patches = out[:, self.prefix :].transpose(1, 2).unflatten(2, grid)
            cls, distilled = (out[:, place] if known else None for place, known in enumerate(self.tokens))
            return Features(patches, cls, distilled)
        channels = self.network.num_features
        if not isinstance(out, Tensor) or out.ndim != 4 or channels not in (out.shape[1], out.shape[3]):
            raise self._no_map()
        # Windowed transformers have their channels last.
        return Features(out if out.shape[1] == channels else out.permute(0, 3, 1, 2))

    def has_stem(self) -> bool:
        """Say whether timm counts a stem as the first map: one at half the side, before those of the blocks.

        Networks that cut the picture into patches have none.
        """
        return _begins_with_stem(self.network)

    def _grid(self, images: Tensor) -> tuple[int, int] | None:
        """Return how many patches lie below and beside one another; None for a network that does not say it."""
        of = getattr(getattr(self.network, "patch_embed", None), "dynamic_feat_size", None)
        return None if of is None else tuple(of(images.shape[-2:]))

    def _no_map(self) -> UserError:
        return UserError(
            f"timm model '{self.arch}' has no one feature map with a place for each part of the picture; "
            "use another network, such as a vit, resnet, convnext or efficientnet"
        )

    def stage_features(self, images: Tensor, stage: int) -> Tensor:
        if not callable(getattr(self.network, "forward_intermediates", None)):
            raise UserError(
                f"timm model '{self.arch}' does not give the features of its stages; use another network"
            )
        maps = self.network.forward_intermediates(
            images, indices=[stage - 1 + self.has_stem()], intermediates_only=True, stop_early=True
        )
        first: Tensor = maps[0]
        return first


class TorchvisionTrunk(Trunk):
    """torchvision's ResNets and the CNNs that keep their layers under `features`."""

    mean, std = IMAGENET

    def __init__(self, arch: str, options: dict[str, Any], pretrained: bool) -> None:
        super().__init__()
        import torchvision
        from torchvision.models.feature_extraction import create_feature_extractor

        if arch not in torchvision.models.list_models(module=torchvision.models):
            raise UserError(f"torchvision has no classification model '{arch}'")
        network = torchvision.models.get_model(arch, weights="DEFAULT" if pretrained else None, **options)
        nodes = ["layer1", "layer2", "layer3", "layer4"] if hasattr(network, "layer4") else None
        if nodes is None and not hasattr(network, "features"):
            raise UserError(f"torchvision's '{arch}' has no feature map to take; use the timm model instead")
        last = -1 if nodes is None and _ends_with_pooling(network) else None
        self.nodes = nodes or [f"features.{name}" for name, _ in network.features.named_children()][:last]
        self.network = create_feature_extractor(network, return_nodes=self.nodes)

    def forward(self, images: Tensor) -> Features:
        return Features(self.network(images)[self.nodes[-1]])

    def stage_features(self, images: Tensor, stage: int) -> Tensor:
        first = 1 if self.nodes[0].startswith("layer") else 0
        out: Tensor = self.network(images)[self.nodes[stage - first]]
        return out


class OpenClipTrunk(Trunk):
    """The image tower of an open_clip model; `cls` is the class token before CLIP's projection."""

    def __init__(self, arch: str, options: dict[str, Any], pretrained: bool) -> None:
        super().__init__()
        import open_clip

        if arch not in open_clip.list_models():
            raise UserError(f"open_clip has no model '{arch}'; python -c 'import open_clip' lists them")
        tags = open_clip.list_pretrained_tags_by_model(arch) if pretrained else []
        model = open_clip.create_model(arch, pretrained=tags[0] if tags else None, **options)
        self.network = model.visual
        self.mean = tuple(self.network.image_mean or open_clip.OPENAI_DATASET_MEAN)
        self.std = tuple(self.network.image_std or open_clip.OPENAI_DATASET_STD)

    def forward(self, images: Tensor) -> Features:
        out = self.network.forward_intermediates(
            images, indices=1, normalize_intermediates=True, output_extra_tokens=True
        )
        prefix = out.get("image_intermediates_prefix")
        return Features(out["image_intermediates"][-1], prefix[-1][:, 0] if prefix else None)

    def stage_features(self, images: Tensor, stage: int) -> Tensor:
        out = self.network.forward_intermediates(
            images, indices=[stage - 1 + self.has_stem()], stop_early=True, intermediates_only=True
        )
        first: Tensor = out["image_intermediates"][0]
        return first

    def has_stem(self) -> bool:
        """Say whether open_clip counts a stem as the first map: in its own ResNets, and where timm does."""
        from open_clip.modified_resnet import ModifiedResNet
        from open_clip.timm_model import TimmModel

        if isinstance(self.network, TimmModel):
            return _begins_with_stem(self.network.trunk)
        return isinstance(self.network, ModifiedResNet)


TRUNKS: dict[Library, type[TimmTrunk] | type[TorchvisionTrunk] | type[OpenClipTrunk]] = {
    "timm": TimmTrunk,
    "torchvision": TorchvisionTrunk,
    "open_clip": OpenClipTrunk,
}


def build_trunk(library: Library, arch: str, options: dict[str, Any], pretrained: bool = False) -> Trunk:
    """Build a network by its library's name for it. Raises UserError for an unknown name or option."""
    try:
        return TRUNKS[library](arch, options, pretrained)
    except TypeError as error:
        raise UserError(f"{library} model '{arch}' refuses its options {options}: {error}") from None
    except (OSError, ConnectionError, RuntimeError) as error:
        if not pretrained:
            raise
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"the weights of {library} model '{arch}' cannot be downloaded ({reason}); without internet, set "
            "backbones.NAME.weights to a .safetensors file with the library's names for the tensors"
        ) from None


def probe(trunk: Trunk, size: int) -> tuple[int, int, tuple[bool, bool]]:
    """Return (dim, stride, (has a class token, has a distillation token)).

    They are measured by one forward pass on a blank `size` x `size` picture.
    """
    was_training = trunk.training
    trunk.eval()
    with torch.no_grad():
        features = trunk(torch.zeros(1, 3, size, size))
    trunk.train(was_training)
    tokens = features.cls is not None, features.distilled is not None
    return features.feature_map.shape[1], round(size / features.feature_map.shape[-1]), tokens


def _ends_with_pooling(network: Any) -> bool:
    """Say whether the layers of a network end with a pooling (VGG, AlexNet).

    It belongs to their classifier: papers mean the map before it, such as conv5_3 of VGG-16.
    """
    layers = getattr(network, "features", None)
    return isinstance(layers, nn.Sequential) and isinstance(layers[-1], nn.MaxPool2d)


def _begins_with_stem(network: Any) -> bool:
    """Say whether the first map of a timm network, at half the picture's side, comes before those of the blocks."""
    strides = [int(entry["reduction"]) for entry in network.feature_info]
    return strides[0] == 2 < strides[-1]


def _dilate_as(network: nn.Module, like: nn.Module) -> None:
    """Give the convolutions of a network the dilations of another one with the same layers; maps keep their sizes."""
    layers = dict(like.named_modules())
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d) or layer.dilation == layers[name].dilation:
            continue
        # Of a layer that pads by itself when it is called, `padding` is zero or a word, and stays so.
        if isinstance(layer.padding, tuple):
            layer.padding = tuple(
                width // old * new
                for width, old, new in zip(layer.padding, layer.dilation, layers[name].dilation, strict=True)
            )
        layer.dilation = layers[name].dilation


def _with_stem(options: dict[str, Any]) -> dict[str, Any]:
    """Replace the option `stem: conv` by the options with which timm builds such a stem."""
    from timm.layers.hybrid_embed import HybridEmbed
    from timm.models.vision_transformer_hybrid import ConvStem

    if "stem" not in options:
        return options
    rest = {name: value for name, value in options.items() if name != "stem"}
    if options["stem"] != "conv" or not {"embed_dim", "patch_size"} <= rest.keys():
        raise UserError("stem must be 'conv', beside embed_dim and patch_size")
    halvings = int(rest["patch_size"]).bit_length() - 1
    channels = tuple(rest["embed_dim"] >> (halvings - 1 - n) for n in range(halvings))
    stem = ConvStem(depth=halvings, channels=channels, stride=(2,) * halvings, act_layer=nn.GELU)
    return {**rest, "patch_size": 1, "embed_layer": partial(HybridEmbed, backbone=stem, proj=False)}


def _similar(arch: str) -> list[str]:
    import timm

    names: list[str] = timm.list_models(f"*{arch.split('_')[0]}*")
    return names[:5]
