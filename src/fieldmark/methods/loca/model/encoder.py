"""The encoder: a plain vision transformer of timm without class token, run the way LOCA runs it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from fieldmark.base.errors import UserError
from fieldmark.methods.loca.model.params import FIXED_OPTIONS, LocaParams
from fieldmark.runtime.sharding import call_within
from fieldmark.vision.backbones import Backbone, BackboneSpec, backbone_from_spec
from fieldmark.vision.libraries import IMAGENET
from fieldmark.vision.positions import position_table

MLP_BIAS_STD = 1e-6
TRUNCATED_STD = 0.87962566103423978  # of a unit normal cut at two standard deviations


def build_encoder(params: LocaParams) -> Backbone:
    """Build the network of the block with LOCA's random weights, for pictures of the reference's size.

    Raises UserError for what is no plain vision transformer, or patches that do not divide the views.
    """
    options = {**(params.options or {}), **FIXED_OPTIONS, "img_size": params.views.reference_size}
    patch, dim = patch_and_dim(params, options)
    sides = {f"views.{name}": getattr(params.views, name) for name in ("reference_size", "focal_size")}
    if params.dense.windows:
        sides["dense.windows.side"] = params.dense.windows.side
    for name, side in sides.items():
        if side % patch:
            raise UserError(f"loca.{name} {side} is no multiple of the patch, {patch}")
    spec = BackboneSpec("timm", params.arch, options, dim, patch, False, False, *IMAGENET)
    backbone = backbone_from_spec(spec)
    initialise(backbone.trunk.network)
    return backbone


def initialise(network: Any) -> None:
    """Draw the weights: Xavier for attention and MLP, LeCun for the patches, N(0, 1/d) for the positions."""
    if not _has_stem(network.patch_embed):  # a stem of convolutions keeps timm's
        lecun(network.patch_embed.proj)
    nn.init.normal_(network.pos_embed, std=network.embed_dim**-0.5)
    for block in network.blocks:
        for part in block.attn.qkv.weight.chunk(3):
            nn.init.xavier_uniform_(part)
        nn.init.zeros_(block.attn.qkv.bias)
        xavier(block.attn.proj)
        initialise_mlp(block.mlp)


def lecun(layer: nn.Linear | nn.Conv2d) -> None:
    """LeCun's normal, cut at two standard deviations, for the weight; zero for the bias."""
    std = layer.weight[0].numel() ** -0.5 / TRUNCATED_STD
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def xavier(layer: nn.Linear) -> None:
    """Xavier's uniform for the weight, zero for the bias."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)


def initialise_mlp(mlp: Any) -> None:
    """Xavier's uniform for the weights, next to nothing for the biases."""
    for layer in (mlp.fc1, mlp.fc2):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.normal_(layer.bias, std=MLP_BIAS_STD)


def encode(
    backbone: Backbone,
    images: Tensor,
    *,
    positions: bool = True,
    kept: Tensor | None = None,
    branches: Tensor | None = None,
    context: Tensor | None = None,
) -> Tensor:
    """Encode `images` (B, 3, H, W) in [0, 1] to normalised patch features (B, N, dim).

    `positions`: whether the position table is added, resized to the images' grid. `kept` (M,): only these
    patches enter the transformer, N = M. `branches` (B, layers, 2): stochastic depth, the factor of each
    picture's attention and MLP branches. `context` (C,): only these tokens serve as keys and values.
    """
    network: Any = backbone.trunk.network
    feature_map = _patches(network.patch_embed, backbone.normalise(images))
    if positions:
        feature_map = feature_map + position_table(network, feature_map.shape[-2:]).to(feature_map.dtype)
    tokens = feature_map.flatten(2).transpose(1, 2)
    if kept is not None:
        tokens = tokens[:, kept]
    for number, block in enumerate(network.blocks):
        factors = None if branches is None else branches[:, number]
        tokens = call_within(block, _layer, tokens, factors, context)
    normed: Tensor = network.norm(tokens)
    return normed


def _patches(embed: Any, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) -> one vector per patch (B, dim, rows, columns), by one layer or a stem and what follows."""
    stemmed = embed.backbone(images) if _has_stem(embed) else images
    feature_map: Tensor = embed.proj(stemmed)
    return feature_map


def _has_stem(embed: Any) -> bool:
    """Say whether patches come from a stem of convolutions, not from one linear layer."""
    from timm.layers.hybrid_embed import HybridEmbed  # timm takes seconds: only those who encode wait

    return isinstance(embed, HybridEmbed)


def kept_branches(uniform: Tensor, rate: float) -> Tensor:
    """Turn `uniform` (..., layers, 2) into stochastic depth's factors: 0, or 1 / (1 - rate of the layer).

    The rate grows linearly from 0 in the first layer to `rate` in the last.
    """
    rates = torch.linspace(0.0, rate, uniform.shape[-2], device=uniform.device)[:, None]
    return (uniform >= rates).to(uniform.dtype) / (1 - rates)


def _layer(block: Any, tokens: Tensor, factors: Tensor | None, context: Tensor | None) -> Tensor:
    """Tokens (B, N, dim) through one layer of the transformer; `factors` (B, 2) are those of its branches."""
    attended = block.ls1(_attend(block.attn, block.norm1(tokens), context))
    tokens = tokens + _scaled(attended, factors, 0)
    return tokens + _scaled(block.ls2(block.mlp(block.norm2(tokens))), factors, 1)


def _scaled(branch: Tensor, factors: Tensor | None, part: int) -> Tensor:
    return branch if factors is None else branch * factors[:, part, None, None].to(branch.dtype)


def _attend(attention: Any, tokens: Tensor, context: Tensor | None) -> Tensor:
    """Self-attention of timm's layer; with `context` only these tokens are looked at."""
    if context is None:
        whole: Tensor = attention(tokens)
        return whole
    shape = (*tokens.shape[:2], 3, attention.num_heads, -1)
    query, key, value = attention.qkv(tokens).view(shape).permute(2, 0, 3, 1, 4)
    mixed = scaled_dot_product_attention(query, key[:, :, context], value[:, :, context])
    out: Tensor = attention.proj(mixed.transpose(1, 2).flatten(2))
    return out


def patch_and_dim(params: LocaParams, options: dict[str, Any]) -> tuple[int, int]:
    """Return the side of a patch in pixels and the feature dimension, without drawing weights.

    Raises UserError for an architecture that is no plain vision transformer.
    """
    from timm.models.vision_transformer import VisionTransformer

    unknown = BackboneSpec("timm", params.arch, options, 0, 0, False, False, *IMAGENET)
    with torch.device("meta"):
        network: Any = backbone_from_spec(unknown).trunk.network
    if not isinstance(network, VisionTransformer):
        raise UserError(
            f"loca.arch '{params.arch}' is no plain vision transformer; use one such as vit_base_patch16_224"
        )
    patch = options["patch_size"] if "stem" in options else network.patch_embed.patch_size[0]
    return int(patch), int(network.embed_dim)
