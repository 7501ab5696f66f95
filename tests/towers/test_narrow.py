"""The narrow network under its own name is that of the default world, which is built by options."""

import timm
import torch
from support.pipeline import ROOT

from fieldmark.base.blocks import read_yaml
from fieldmark.towers import narrow
from fieldmark.vision.backbones import NetworkParams, create_backbone, load_weights

WEIGHTS = ROOT / "data/pretrained/resnet.safetensors"


def test_it_has_the_features_of_the_default_worlds_network() -> None:
    item = read_yaml(ROOT / "params.yaml")["backbones"]["resnet"]
    params = NetworkParams(arch=item["arch"], options=item["options"], weights=str(WEIGHTS))
    backbone = create_backbone(params, 128).eval()
    network = timm.create_model(narrow.resnet10t_narrow.__name__, num_classes=0, global_pool="").eval()
    load_weights(network, WEIGHTS, {})
    images = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        expected = backbone(images).feature_map
        found = network(backbone.normalise(images))
    torch.testing.assert_close(found, expected)
    assert found.shape[2:] == network.default_cfg["pool_size"]
