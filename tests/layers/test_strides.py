from functools import partial

import pytest
import torch
from torch import Tensor, nn

from visionkit.decoders.fpn import FPN
from visionkit.decoders.unet import UNet
from visionkit.errors import ConfigError
from visionkit.labels import Classes
from visionkit.layers.strides import increase, joined, per_axis, ratio, reaches
from visionkit.losses.segmentation import CrossEntropy
from visionkit.network import Network
from visionkit.tasks.segmentation import Segmentation


def test_by_hand() -> None:
    assert per_axis(4, 3) == (4, 4, 4)
    assert per_axis([2, 4, 4], 3) == (2, 4, 4)
    assert joined([4, 4]) == 4
    assert joined([2, 4]) == (2, 4)
    assert ratio((2, 4, 4), 4, 3) == ratio(4, (2, 4, 4), 3) == 2
    assert ratio((2, 8), (4, 4), 2) == 4  # what is finer along one axis does not make up for the other


@pytest.mark.parametrize("stride", [(2, 4), (2, 4, 4, 4), (), (0, 1, 1), 0])
def test_other_numbers_of_axes_are_refused(stride: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="C80"):
        per_axis(stride, 3)


def test_order() -> None:
    assert increase([1, (1, 2, 2), (2, 2, 4), 4], 3)
    assert not increase([(2, 4, 4), (1, 8, 8)], 3)
    assert not increase([4, (4, 4, 4)], 3)
    assert reaches((2, 4, 4), 4, 3)
    assert not reaches((1, 2, 2), 4, 3)


class Toy(nn.Module):
    """Volumes to maps at strides (1, 2, 2) and (2, 4, 4)."""

    channels, strides, spatial_dims, in_chans = (4, 6), ((1, 2, 2), (2, 4, 4)), 3, 1

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv3d(1, 4, (1, 2, 2), stride=(1, 2, 2))
        self.coarse = nn.Conv3d(4, 6, 2, stride=2)

    def forward(self, image: Tensor) -> list[Tensor]:
        fine = self.fine(image)
        return [fine, self.coarse(fine)]


@pytest.mark.parametrize(
    ("decoder", "stride"),
    [
        (UNet, (1, 2, 2)),
        (lambda **shape: UNet(**shape, stride=1), 1),
        (lambda **shape: UNet(**shape, stride=4), (2, 4, 4)),
        (lambda **shape: UNet(**shape, at=[(2, 2, 2), 4]), 2),
        (FPN, (2, 4, 4)),
        (lambda **shape: FPN(**shape, stride=(1, 2, 2)), (1, 2, 2)),
    ],
    ids=["unet", "unet_full", "unet_coarse", "unet_at", "fpn", "fpn_fine"],
)
def test_a_volume_of_any_size_through_a_network(decoder, stride) -> None:
    task = partial(Segmentation, decoder, {"cross_entropy": CrossEntropy()})
    network = Network(Toy(), {"segmentation": task}, {"mask": Classes(("a", "b", "c"))}).eval()
    assert network.tasks["segmentation"].decoder.stride == stride
    for size in ((1, 1, 1), (5, 7, 3), (4, 8, 16)):
        assert network(torch.rand(2, 1, *size))["segmentation"].shape == (2, 3, *size)


def test_the_decoders_map_is_the_image_over_its_stride() -> None:
    encoder = Toy()
    for decoder in (UNet(encoder.channels, encoder.strides, 3), FPN(encoder.channels, encoder.strides, 3)):
        found = decoder.eval()(encoder(torch.rand(1, 1, 6, 8, 12)))
        expected = tuple(n // s for n, s in zip((6, 8, 12), decoder.stride, strict=True))
        assert found.shape == (1, decoder.out_channels, *expected)
