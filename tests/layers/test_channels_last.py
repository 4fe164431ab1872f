import torch
from torch import nn

from visionkit.layers.channels_last import channels_last, channels_last_


def test_pictures_are_laid_out_and_volumes_left_alone() -> None:
    picture, volume = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5, 6)
    assert channels_last(picture).stride() == (60, 1, 15, 3)
    assert torch.equal(channels_last(picture), picture)
    assert channels_last(volume) is volume


def test_weights_are_laid_out_as_torch_does_and_keep_their_names() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv3d(1, 2, 3))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    channels_last_(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[2].weight.is_contiguous()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert optimizer.param_groups[0]["params"][0] is network[0].weight
