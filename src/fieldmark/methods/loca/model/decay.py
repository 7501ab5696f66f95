"""Which weights decay."""

from torch import nn

from fieldmark.engine.trainable import ParameterGroup

DECAYED_VECTORS = ("attn.qkv.bias", "cross.query.bias", "cross.key_value.bias")


def decay_groups(network: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """As in the release: decay for all but vectors, yet for the biases of query, key and value, too."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 or name.endswith(DECAYED_VECTORS)
            (decayed if decays else plain).append(parameter)
    return [ParameterGroup(decayed, weight_decay), ParameterGroup(plain, 0.0)]
