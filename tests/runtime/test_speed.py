"""What makes training faster is wired only where it is asked for, and leaves values as they are."""

import pytest
import torch
from torch import nn

from fieldmark.runtime.speed import is_fused, tf32, to_channels_last

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def test_tf32_holds_inside_and_on_cuda_alone() -> None:
    before = torch.get_float32_matmul_precision()
    for allowed, device, inside in ((True, CUDA, "high"), (True, CPU, before), (False, CUDA, before)):
        with tf32(allowed, device):
            assert torch.get_float32_matmul_precision() == inside
        assert torch.get_float32_matmul_precision() == before
    with pytest.raises(KeyError), tf32(True, CUDA):
        raise KeyError
    assert torch.get_float32_matmul_precision() == before


def test_only_cuda_fuses() -> None:
    assert is_fused(True, CUDA) is True
    assert [is_fused(False, CUDA), is_fused(True, CPU)] == [None, None]


def test_channels_last_changes_the_order_in_memory_alone() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3)).eval()
    images = torch.rand(2, 3, 9, 9)
    before = network(images)
    weights = [value.clone() for value in network.state_dict().values()]
    to_channels_last(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network(images).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images), before)
    assert all(torch.equal(*pair) for pair in zip(weights, network.state_dict().values(), strict=True))
