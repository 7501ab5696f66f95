"""The encoders that LOCA's authors published, as weights of timm's vision transformers.

https://github.com/google-research/scenic/tree/main/scenic/projects/loca links them: training states that flax wrote,
without class token, with a position table of 14 x 14, tanh-approximate GELU and 1e-6 in the layer norms.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import gelu

from fieldmark.base.errors import UserError
from fieldmark.vision.flax import read_flax
from fieldmark.vision.positions import resizes_bilinearly

OPTIONS = (
    '{class_token: false, global_pool: "", act_layer: gelu_tanh, positions: bilinear, '
    "dynamic_img_size: true, img_size: 224}"
)
Tree = Mapping[str, Any]


def read_official(path: Path, network: Any) -> dict[str, Tensor]:
    """Read the encoder of a training state (the student's, not the teacher's) under timm's names.

    Raises UserError for a file without such an encoder, and for a network that would compute something else with it.
    """
    tree = read_flax(path)
    encoder = tree.get("params", tree)
    try:
        state, heads = _encoder(encoder)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path} holds no encoder of LOCA as its authors publish it ({type(error).__name__}: {error})"
        ) from None
    _require_same(path, network, heads)
    return state


def _require_same(path: Path, network: Any, heads: int) -> None:
    """Raise UserError for what the shapes of the weights do not tell: number of heads, GELU, class token, resizing."""
    blocks = getattr(network, "blocks", None)
    if not blocks or getattr(network, "cls_token", 0) is not None:
        raise UserError(
            f"{path} is for a vision transformer without class token: set its options to {OPTIONS}"
        )
    if blocks[0].attn.num_heads != heads:
        raise UserError(f"{path} has {heads} heads of attention, the network {blocks[0].attn.num_heads}")
    inputs = torch.linspace(-3, 3, 7)  # where the two kinds of GELU differ by up to 5e-4
    tanh = torch.allclose(blocks[0].mlp.act(inputs), gelu(inputs, approximate="tanh"), rtol=0, atol=1e-5)
    if not (tanh and resizes_bilinearly(network)):
        raise UserError(
            f"{path} wants its network's GELU and its resizing of positions: set options to {OPTIONS}"
        )


def _encoder(tree: Tree) -> tuple[dict[str, Tensor], int]:
    """Return the weights under timm's names, and the number of heads."""
    tokens, layers = tree["ToTokenSequence_0"], sum(name.startswith("encoderblock_") for name in tree)
    table = _tensor(tokens["posembed_input"])
    state = {
        "patch_embed.proj.weight": _tensor(tokens["embedding"]["kernel"]).permute(3, 2, 0, 1),
        "patch_embed.proj.bias": _tensor(tokens["embedding"]["bias"]),
        "pos_embed": table.flatten(1, 2),
        **_norm(tree["encoder_norm"], "norm"),
    }
    heads = {int(_attention(tree, layer)["query"]["kernel"].shape[1]) for layer in range(layers)}
    for layer in range(layers):
        state |= {f"blocks.{layer}.{name}": value for name, value in _block(tree, layer).items()}
    [count] = heads
    return {name: value.contiguous() for name, value in state.items()}, count


def _attention(tree: Tree, layer: int) -> Tree:
    attention: Tree = tree[f"encoderblock_{layer}"]["MultiHeadDotProductAttention_0"]
    return attention


def _block(tree: Tree, layer: int) -> dict[str, Tensor]:
    """Kernels are (inputs, heads, width) for query, key and value, (heads, width, outputs) behind them."""
    block, attention = tree[f"encoderblock_{layer}"], _attention(tree, layer)
    three = [attention[name] for name in ("query", "key", "value")]
    mlp = block["MlpBlock_0"]
    return {
        **_norm(block["LayerNorm_0"], "norm1"),
        "attn.qkv.weight": torch.cat([_tensor(part["kernel"]).flatten(1).T for part in three]),
        "attn.qkv.bias": torch.cat([_tensor(part["bias"]).flatten() for part in three]),
        "attn.proj.weight": _tensor(attention["out"]["kernel"]).flatten(0, 1).T,
        "attn.proj.bias": _tensor(attention["out"]["bias"]),
        **_norm(block["LayerNorm_1"], "norm2"),
        **_dense(mlp["Dense_0"], "mlp.fc1"),
        **_dense(mlp["Dense_1"], "mlp.fc2"),
    }


def _norm(norm: Tree, name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": _tensor(norm["scale"]), f"{name}.bias": _tensor(norm["bias"])}


def _dense(dense: Tree, name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": _tensor(dense["kernel"]).T, f"{name}.bias": _tensor(dense["bias"])}


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
