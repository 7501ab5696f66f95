"""The narrow ResNet of the default world under a name of its own in timm.

Whoever takes a network of timm by its name alone, as open_clip does for the image tower of a CLIP, cannot say how wide
it is. To import this module makes the name known; timm takes seconds to import.
"""

from typing import Any

from timm.models import ResNet, register_model
from timm.models.resnet import resnet10t


@register_model
def resnet10t_narrow(pretrained: bool = False, **options: Any) -> ResNet:
    """timm's resnet10t of a quarter to a half of its widths, with a map of 8 x 8 places for pictures of 128 px."""
    narrow = {"stem_width": 16, "channels": (32, 64, 128, 256), "output_stride": 16}
    sizes = {"input_size": (3, 128, 128), "pool_size": (8, 8)}
    network: ResNet = resnet10t(pretrained, **{**narrow, **options, "pretrained_cfg_overlay": sizes})
    return network
