"""A finer last feature map from the same weights, by dilation.

The released code has a map as fine, but another one: it sets the stride of the last block to 1 and dilates nothing, so
that the weights of that block meet neighbours half as far away as those they were trained on.
"""

from dataclasses import replace

from fieldmark.base.errors import UserError
from fieldmark.vision.backbones import Backbone, backbone_from_spec


def with_output_stride(backbone: Backbone, stride: int) -> Backbone:
    """Return a copy of `backbone` whose last feature map has one cell per `stride` pixels.

    Later strides become dilations, so that every weight meets the neighbours it was trained on.
    Raises UserError for a network that cannot be built so.
    """
    spec = backbone.spec
    if spec.library != "timm":
        raise UserError(f"frpt.output_stride: {spec.library} builds no network by it; take timm's or null")
    finer = replace(spec, options={**spec.options, "output_stride": stride}, stride=stride)
    try:
        changed = backbone_from_spec(finer)
    except (UserError, AssertionError, NotImplementedError):
        raise UserError(f"frpt.output_stride: {spec.arch} has one stride only; write null") from None
    changed.trunk.load_state_dict(backbone.trunk.state_dict())
    return changed
