"""BatchNorm over the pictures of all processes: the number of devices then changes no result.

torch's own SyncBatchNorm does so on GPUs alone, and not for timm's layers, which hold an activation as well.
"""

from types import MethodType

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fieldmark.runtime.distributed import gather

BatchNorm = nn.modules.batchnorm._BatchNorm


def synchronise_batchnorm(module: nn.Module) -> None:
    """Make every BatchNorm in `module` that is in training mode normalise by the statistics of all processes.

    Every process must give it the same number of pictures of the same size.
    """
    for layer in module.modules():
        if isinstance(layer, BatchNorm):
            layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]


def _forward(layer: BatchNorm, values: Tensor) -> Tensor:
    """(B, C, ...) -> the same shape, as the layer's own class does it for the values of all processes."""
    from timm.layers.norm_act import BatchNormAct2d  # timm takes seconds: only several processes come here

    if not layer.training or not (dist.is_available() and dist.is_initialized()):
        out: Tensor = type(layer).forward(layer, values)
        return out
    normalised = _normalised(layer, values)
    if isinstance(layer, BatchNormAct2d):
        activated: Tensor = layer.act(layer.drop(normalised))
        return activated
    return normalised


def _normalised(layer: BatchNorm, values: Tensor) -> Tensor:
    """Ioffe and Szegedy, arXiv 1502.03167, algorithm 1, in float32 or finer; updates the running statistics."""
    with torch.autocast(values.device.type, enabled=False):
        exact = values if values.dtype == torch.float64 else values.float()
        places = [axis for axis in range(values.ndim) if axis != 1]
        shape = [1, -1, *[1] * (values.ndim - 2)]
        mean = _over_all(exact.mean(places))
        centred = exact - mean.view(shape)
        variance = _over_all(centred.square().mean(places))
        count = values.numel() // values.shape[1] * dist.get_world_size()
        _remember(layer, mean.detach(), variance.detach() * count / max(1, count - 1))
        out = centred * torch.rsqrt(variance + layer.eps).view(shape)
        if layer.affine:
            out = out * layer.weight.view(shape) + layer.bias.view(shape)
    return out.to(values.dtype)


def _over_all(statistic: Tensor) -> Tensor:
    """Return the mean over all processes of what each has, (C,); the gradient flows back to all of them."""
    return gather(statistic[None]).mean(0)


@torch.no_grad()
def _remember(layer: BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, where the layer keeps any, by its momentum."""
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked.add_(1)
    part = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), part)
    layer.running_var.lerp_(variance.to(layer.running_var.dtype), part)
