"""Position tables of plain vision transformers at other sizes, as LOCA resizes them."""

from collections.abc import Sequence
from types import MethodType
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from fieldmark.base.errors import UserError


def position_table(network: Any, shape: Sequence[int]) -> Tensor:
    """Return the position table resized to (1, dim, rows, columns): bilinear, antialiased, whole."""
    rows, columns = network.patch_embed.grid_size
    table: Tensor = network.pos_embed.transpose(1, 2).unflatten(2, (rows, columns))
    if tuple(shape) == (rows, columns):
        return table
    return interpolate(table, size=tuple(shape), mode="bilinear", align_corners=False, antialias=True)


def resize_bilinearly(network: Any) -> None:
    """Make a timm network resize its position table by `position_table`: by itself it does so bicubically.

    Raises UserError for a network with class or register tokens, which LOCA's encoders do not have.
    """
    if getattr(network, "num_prefix_tokens", 1):
        raise UserError(
            "positions: bilinear needs a plain vision transformer without class and register tokens"
        )
    network._pos_embed = MethodType(_with_positions, network)


def resizes_bilinearly(network: Any) -> bool:
    """Say whether `resize_bilinearly` was called for a network."""
    return getattr(getattr(network, "_pos_embed", None), "__func__", None) is _with_positions


def _with_positions(network: Any, patches: Tensor) -> Tensor:
    """Patches (B, rows, columns, dim) -> tokens (B, rows * columns, dim) with their positions."""
    table = position_table(network, patches.shape[1:3]).permute(0, 2, 3, 1)
    tokens: Tensor = network.pos_drop((patches + table.to(patches.dtype)).flatten(1, 2))
    return tokens
