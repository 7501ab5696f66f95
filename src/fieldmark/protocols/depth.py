"""Stochastic depth of a finished network: G. Huang et al., ECCV 2016, arXiv 1603.09382."""

import torch

from fieldmark.vision.backbones import Backbone


def set_drop_path(backbone: Backbone, rate: float) -> bool:
    """Let training drop branches of a picture, at a rate that rises linearly from 0 in the first block to `rate`.

    Attention and MLP are dropped independently; nothing is dropped in eval mode. Returns whether the network is a
    plain vision transformer of timm: any other stays as it is.
    """
    # timm takes seconds: only those who tune so wait
    from timm.layers.drop import DropPath
    from timm.models.vision_transformer import VisionTransformer

    network = backbone.trunk.network
    if not isinstance(network, VisionTransformer):
        return False
    for block, own in zip(
        network.blocks, torch.linspace(0.0, rate, len(network.blocks)).tolist(), strict=True
    ):
        block.drop_path1, block.drop_path2 = DropPath(own), DropPath(own)
    return True
