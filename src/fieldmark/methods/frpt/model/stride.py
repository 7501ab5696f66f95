"""A finer last feature map from the same weights: later strides become 1.

With dilation every weight then meets the neighbours it was trained on. The released code dilates nothing: the map is
as fine, but the weights of the last block meet neighbours half as far away as those they were trained on.
"""

from dataclasses import replace

from fieldmark.base.errors import UserError
from fieldmark.vision.backbones import Backbone, backbone_from_spec

COARSEST = 32  # pixels per cell of a network that is built without `output_stride`


def with_output_stride(backbone: Backbone, stride: int, dilate: bool = True) -> Backbone:
    """Return a copy of `backbone` whose last feature map has one cell per `stride` pixels.

    Later strides become dilations, so that every weight meets the neighbours it was trained on; or without `dilate`
    plain strides of 1, as in the released code. Raises UserError for a network that cannot be built so.
    """
    spec = backbone.spec
    if spec.library != "timm":
        raise UserError(f"frpt.output_stride: {spec.library} builds no network by it; take timm's or null")
    options = {**spec.options, "output_stride": stride}
    if not dilate:
        options["dilations_of"] = spec.options.get("output_stride", COARSEST)
    finer = replace(spec, options=options, stride=stride)
    try:
        changed = backbone_from_spec(finer)
    except (UserError, AssertionError, NotImplementedError):
        raise UserError(f"frpt.output_stride: {spec.arch} has one stride only; write null") from None
    try:
        changed.trunk.load_state_dict(backbone.trunk.state_dict())
    except RuntimeError:  # a shortcut with weights may be there for its stride alone
        raise UserError(
            f"frpt.output_stride: {spec.arch} has other layers at {stride} pixels per cell; write null"
        ) from None
    return changed
