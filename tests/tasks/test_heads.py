from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from visionkit.decoders.unet import UNet
from visionkit.encoders.conv import ConvEncoder
from visionkit.errors import ConfigError
from visionkit.labels import Classes
from visionkit.losses.segmentation import CrossEntropy, Dice
from visionkit.network import Network
from visionkit.tasks.heads import DeepSupervision, enlarged, reduced
from visionkit.tasks.segmentation import Segmentation

LABELS = Classes(("background", "a", "b"))


@pytest.mark.parametrize(("size", "stride"), [((7, 9), 2), ((5, 6, 9), (1, 2, 4)), ((3, 3, 3), 4), ((4, 4), 1)])
def test_reduced_labels_are_those_in_the_middle_of_each_cell(size, stride) -> None:
    target = torch.randint(-1, 4, (2, *size))
    steps = stride if isinstance(stride, tuple) else (stride,) * len(size)
    cells = [-(-length // step) + 1 for length, step in zip(size, steps, strict=True)]
    found = reduced(target, stride, cells)
    assert found.shape == (2, *cells)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in cells)).tolist():
        middle = [cell * step + step // 2 for cell, step in zip(place, steps, strict=True)]
        inside = all(at < length for at, length in zip(middle, size, strict=True))
        expected = target[(slice(None), *middle)] if inside else torch.full((2,), -1)
        assert torch.equal(found[(slice(None), *place)], expected)


def test_enlarged_along_each_axis_by_its_stride() -> None:
    logits = torch.randn(2, 3, 4, 3, 2)
    expected = F.interpolate(logits, size=(4, 6, 8), mode="trilinear")[:, :, :3, :5, :7]
    torch.testing.assert_close(enlarged(logits, (1, 2, 4), (3, 5, 7)), expected)


def network(deep_supervision, decoder=UNet, **options) -> Network:
    torch.manual_seed(0)
    losses = {"cross_entropy": CrossEntropy(), "dice": Dice(weight=2.0)}
    task = partial(Segmentation, decoder=decoder, losses=losses, deep_supervision=deep_supervision, **options)
    return Network(ConvEncoder((3, 4, 5, 6), (1, 2, 2, 2)), {"segmentation": task}, {"mask": LABELS})


def example(*space: int) -> dict:
    return {"image": torch.randn(2, 1, *space), "mask": torch.randint(-1, 3, (2, *space))}


def test_loss_is_the_mean_over_the_maps_and_trains_their_heads() -> None:
    model, batch = network([4, 2, 2]), example(17, 20, 16)
    task = model.tasks["segmentation"]
    terms = model.loss(batch)["segmentation"]
    features = model.encode(batch["image"])
    maps = task.decoder.deep(features)
    weights, expected = (0.5, 0.25, 0.25), 0.0
    for level, weight in enumerate(weights):
        logits = (task.head if level == 0 else task.deep.heads[level - 1])(maps[level])
        target = batch["mask"]
        if level == 0:
            logits = logits[:, :, :17, :20, :16]
        else:
            step = 2**level
            padded = F.pad(target, [n for length in (16, 20, 17) for n in (0, -length % 8)], value=-1)
            target = padded[:, step // 2 :: step, step // 2 :: step, step // 2 :: step]
        expected = expected + weight * CrossEntropy()(logits, target)
    torch.testing.assert_close(terms["cross_entropy"], expected)
    sum(terms.values()).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in task.parameters())


def test_evaluation_sees_the_finest_map_alone() -> None:
    deep, plain, batch = network([1, 0.5]), network(None), example(9, 8, 7)
    plain.load_state_dict({name: value for name, value in deep.state_dict().items() if ".deep." not in name})
    assert torch.equal(deep(batch["image"])["segmentation"], plain(batch["image"])["segmentation"])
    one, none = (model.loss(batch)["segmentation"] for model in (network([3.0]), network(None)))
    assert one.keys() == none.keys()
    for name, term in none.items():
        torch.testing.assert_close(one[name], term)


def test_heads_go_without_a_bias() -> None:
    task = network([1, 1], head_bias=False).tasks["segmentation"]
    assert task.head.bias is None
    assert all(head.bias is None for head in task.deep.heads)


class Shallow(nn.Module):
    def __init__(self, channels, strides, spatial_dims) -> None:
        super().__init__()
        self.out_channels, self.stride = channels[0], strides[0]


@pytest.mark.parametrize(
    ("weights", "decoder", "message"),
    [
        ([1, 1, 1, 1], UNet, "4 weights for the 3 maps"),
        ([1], Shallow, "1 weights for the 0 maps"),
        ([0, 0], UNet, "are no weights"),
        ([1, -1], UNet, "are no weights"),
    ],
)
def test_what_cannot_be_supervised_is_named(weights, decoder, message) -> None:
    with pytest.raises(ConfigError, match=f"C84.*{message}"):
        network(weights, decoder)


def test_weights_are_shares() -> None:
    deep = DeepSupervision(UNet((3, 4, 5), (1, 2, 4), 3), [1, 0.5], 3, 3)
    assert deep.weights == pytest.approx([2 / 3, 1 / 3])
    assert len(deep.heads) == 1
