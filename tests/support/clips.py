"""A CLIP of a few thousand weights."""

from typing import Any

import torch

from fieldmark.towers.clip import Clip, create_clip

CONFIG: dict[str, Any] = {
    "embed_dim": 8,
    "vision_cfg": {"layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
SIDE = 32


def tiny_clip(seed: int = 0) -> Clip:
    """Return a random CLIP for pictures of 32 px, always the same, frozen."""
    torch.manual_seed(seed)
    return create_clip(None, CONFIG, None, size=SIDE, squash=True).eval().requires_grad_(False)


def timm_config(pool: str = "abs_attn") -> dict[str, Any]:
    """Return the configuration of a CLIP whose image tower is the narrow network of timm, pooled by open_clip."""
    return {
        **CONFIG,
        "vision_cfg": {"timm_model_name": "resnet10t_narrow", "timm_pool": pool, "timm_proj": ""},
    }
