"""Backbones: one call for the networks of timm, torchvision and open_clip, with their weights or those of a file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from fieldmark.base.blocks import Block
from fieldmark.base.errors import UserError
from fieldmark.base.files import atomic_path, read_json, require_fetched, write_json
from fieldmark.vision.flax import is_flax
from fieldmark.vision.libraries import IMAGENET, Features, Library, build_trunk, probe
from fieldmark.vision.normalising import Normalising
from fieldmark.vision.official import read_official
from fieldmark.vision.packaged import packaged_tensors
from fieldmark.vision.reading import load_tensors, read_tensors

WEIGHTS, DESCRIPTION = "weights.safetensors", "backbone.json"
LIBRARY_WEIGHTS, PACKAGE_WEIGHTS = "library", "package"
OWN_PREFIXES = (
    "network.",
    "backbone.trunk.network.",
)  # of the weights of backbones and methods that were made here
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std of the channels
SILENT_OPTIONS = ("act_layer", "num_heads", "positions")  # they change features, but no shape of a weight


class NetworkParams(Block):
    """Which network, in the words of its library."""

    library: Library = "timm"
    arch: str
    options: dict[str, Any] = Field(default_factory=dict)  # arguments of the library's constructor
    # A .safetensors file with the library's names, the weights.safetensors of a model made here, LOCA's published
    # checkpoint, "library" for the library's pretrained weights, or "package" for those of a pip package.
    weights: str | None = None
    mean: tuple[float, float, float] | None = None  # what the weights were trained with; None: as they say
    std: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class BackboneSpec:
    """All that is needed to build the network again; `dim` and `stride` are known without running it."""

    library: Library
    arch: str
    options: dict[str, Any]
    dim: int
    stride: int
    has_cls: bool
    has_distilled: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Backbone(Normalising):
    """A network without classifier that normalises its input itself."""

    def __init__(self, trunk: nn.Module, spec: BackboneSpec) -> None:
        super().__init__(spec.mean, spec.std)
        # Convolutions run faster with channels last; transformers run equally fast.
        self.trunk, self.spec = trunk.to(memory_format=torch.channels_last), spec

    def forward(self, images: Tensor) -> Features:
        """Images (B, 3, H, W), uint8 or float in [0, 1] -> features of dimension `spec.dim`."""
        out: Features = self.trunk(self.normalise(images))
        return out

    def stage_features(self, images: Tensor, stage: int) -> Tensor:
        """Images as for `forward` -> the feature map (B, C, h, w) after stage `stage`; 1 is the first block."""
        out: Tensor = self.trunk.stage_features(self.normalise(images), stage)  # type: ignore[operator]
        return out


def create_backbone(params: NetworkParams, size: int) -> Backbone:
    """Build the network of `params` for pictures of `size` px, with its weights when it names any.

    Raises UserError for an unknown architecture or option and for weights that do not fit.
    """
    trunk = build_trunk(params.library, params.arch, params.options, params.weights == LIBRARY_WEIGHTS)
    normalisation: Normalisation = trunk.mean, trunk.std
    if params.weights == PACKAGE_WEIGHTS:
        trunk.network.load_state_dict(packaged_tensors(params.arch, trunk.network.state_dict()))
    elif params.weights not in (None, LIBRARY_WEIGHTS):
        normalisation = (
            load_weights(trunk.network, Path(str(params.weights)), params.options) or normalisation
        )
    dim, stride, tokens = _probe(trunk, params.arch, size)
    mean, std = params.mean or normalisation[0], params.std or normalisation[1]
    spec = BackboneSpec(
        params.library, params.arch, params.options, dim, stride, *tokens, tuple(mean), tuple(std)
    )
    return Backbone(trunk, spec)


def load_weights(network: nn.Module, path: Path, options: Mapping[str, Any]) -> Normalisation | None:
    """Load the weights of a file into a library's `network` that was built with `options`.

    Return the mean and std of the pictures that they were trained with, where the file says. Raises UserError for a
    file that is absent or does not fit.
    """
    needed = set(network.state_dict())
    state, normalisation = _read_weights(path, network, options)
    missing = sorted(needed - set(state) - _counters(needed))
    if missing:
        raise UserError(
            f"{path} lacks {len(missing)} of the network's {len(needed)} tensors, first {missing[0]}"
        )
    wrong = [
        name for name in sorted(needed & set(state)) if network.state_dict()[name].shape != state[name].shape
    ]
    if wrong:
        raise UserError(
            f"{path}: tensor {wrong[0]} has shape {tuple(state[wrong[0]].shape)}, another is needed"
        )
    network.load_state_dict({name: value for name, value in state.items() if name in needed}, strict=False)
    return normalisation


def require_size(backbone: Backbone, size: int) -> None:
    """Raise UserError when the network cannot take pictures of `size` px: its position table may fit one size only."""
    _probe(backbone.trunk, backbone.spec.arch, size)


def _probe(trunk: nn.Module, arch: str, size: int) -> tuple[int, int, tuple[bool, bool]]:
    try:
        return probe(trunk, size)  # type: ignore[arg-type]
    except (AssertionError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{arch} cannot take pictures of {size} px ({reason}); change images.side, or the network's options"
        ) from None


def save_backbone(backbone: Backbone, folder: Path) -> None:
    """Write weights and description to `folder`."""
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(contiguous(backbone.trunk.state_dict()), temporary)
    write_json(folder / DESCRIPTION, asdict(backbone.spec), exact=True)


def load_backbone(folder: Path) -> Backbone:
    """Read a backbone that `save_backbone` wrote. Raises UserError when it is not there, or damaged."""
    if not (folder / DESCRIPTION).exists():
        raise UserError(f"{folder} holds no backbone; run dvc repro pretrain@{folder.name}")
    description = read_json(folder / DESCRIPTION)
    try:
        backbone = backbone_from_spec(BackboneSpec(**description))
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f"{folder / DESCRIPTION} describes no backbone ({error}); get it again") from None
    load_tensors(backbone.trunk, folder / WEIGHTS)
    return backbone


def backbone_from_spec(spec: BackboneSpec) -> Backbone:
    """Build the network of a description, with random weights."""
    return Backbone(build_trunk(spec.library, spec.arch, spec.options), spec)


def digest(backbone: Backbone) -> str:
    """Hash a network and its weights: two backbones of the same digest give the same features."""
    hashed = hashlib.sha256(json.dumps(asdict(backbone.spec), sort_keys=True).encode())
    for name, value in sorted(backbone.trunk.state_dict().items()):
        hashed.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        hashed.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return hashed.hexdigest()


def freeze_batchnorm(module: nn.Module) -> None:
    """Make every BatchNorm of the networks in `module` use its stored statistics.

    Small batches must not change those of pretrained weights. What a method puts behind a network has none to keep.
    """
    networks = [child for child in module.modules() if isinstance(child, Normalising)]
    for child in (part for network in networks for part in network.modules()):
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.eval()


def contiguous(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copy a state dict to the CPU in a form safetensors accepts: contiguous, no shared memory."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}


def _read_weights(
    path: Path, network: nn.Module, options: Mapping[str, Any]
) -> tuple[dict[str, Tensor], Normalisation | None]:
    """Read weights under the library's names: of a file that has these, of a model made here, or as LOCA publishes."""
    require_fetched(path)
    if is_flax(path):
        return read_official(path, network), IMAGENET
    state, first = read_tensors(path), next(iter(network.state_dict()))
    prefix = next((prefix for prefix in OWN_PREFIXES if prefix + first in state), "")
    theirs = _described(path) if prefix else {}
    _require_same(path, theirs.get("options", options), options)
    inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return inner, (theirs["mean"], theirs["std"]) if {"mean", "std"} <= theirs.keys() else None


def _described(path: Path) -> Mapping[str, Any]:
    """Return the fields of the spec that stands beside weights made here; empty where there is none."""
    backbone, model = path.with_name(DESCRIPTION), path.with_name("model.json")
    described: Mapping[str, Any] = {}
    if backbone.exists():
        described = read_json(backbone)
    elif model.exists():
        described = read_json(model).get("description", {}).get("backbone", {})
    return described


def _require_same(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raise UserError where two networks differ by an option that changes features, and no shape would tell."""
    for name in SILENT_OPTIONS:
        if theirs.get(name) != ours.get(name):
            raise UserError(
                f"{path} was made with the network's options {json.dumps(theirs)}: give the same {name} to the backbone"
            )


def _counters(names: set[str]) -> set[str]:
    """Return the counters of BatchNorm, which some files of weights leave out."""
    return {name for name in names if name.endswith("num_batches_tracked")}
