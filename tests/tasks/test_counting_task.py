"""The counting task: mass through padding and resizing, what is counted, and its errors."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from visionkit.datasets.collate import collate
from visionkit.datasets.synthetic_crowds import Crowds
from visionkit.datasets.unbatch import prediction_of, sample_of
from visionkit.decoders.density import Density
from visionkit.decoders.unet import UNet
from visionkit.encoders.conv import ConvEncoder
from visionkit.errors import ConfigError
from visionkit.inference import MultiScale, SlidingWindow
from visionkit.labels import Objects
from visionkit.losses.bayesian import BayesianLoss
from visionkit.losses.density import Attention, LocalCounts, SquaredDensity
from visionkit.network import Network
from visionkit.tasks.counting import Counting
from visionkit.tasks.counting_inference import FitToGrid
from visionkit.types import Monitor


class TinyEncoder(nn.Module):
    """Two maps, strides 4 and 8."""

    channels, strides, in_chans, spatial_dims = (4, 6), (4, 8), 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 4, stride=4), nn.Conv2d(4, 6, 2, stride=2)

    def forward(self, image):
        first = self.first(image).relu()
        return [first, self.second(first).relu()]


class TinyDecoder(nn.Module):
    def __init__(self, channels, strides, spatial_dims, out_channels=2) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, strides[0]
        self.conv = nn.Conv2d(channels[0], out_channels, 1)

    def forward(self, features):
        return self.conv(features[0])


LOSSES = {"density": SquaredDensity(), "attention": Attention(), "counts": LocalCounts(), "bayesian": BayesianLoss(0.5)}


def make(labels=Objects(), **options):  # noqa: B008
    torch.manual_seed(0)
    options = {"decoder": TinyDecoder, "losses": LOSSES, **options}
    return Network(TinyEncoder(), {"counting": partial(Counting, **options)}, {"points": labels})


def sample(height, width, people=5):
    random = torch.Generator().manual_seed(height)
    return {
        "key": f"{height}x{width}",
        "image": torch.randint(256, (3, height, width), generator=random, dtype=torch.uint8),
        "points": torch.rand(people, 2, generator=random) * torch.tensor([width, height]),
    }


def test_each_cell_is_counted_once_where_the_picture_is():
    network = make()
    image = torch.rand(1, 3, 13, 22)
    density = network(image)["counting"]
    cells = network.named_tasks["counting"].decoder(network.encode(image))[0, 0]
    assert density.shape == (1, 1, 13, 22)
    torch.testing.assert_close(density.sum(), cells[:4, :6].sum())  # cells 4 and 5 below are padding alone
    torch.testing.assert_close(density[0, 0, 12:, 20:].sum(), cells[3, 5])


@pytest.mark.parametrize("size", [(32, 48), (37, 50), (5, 3), (1, 70)])
def test_fitting_to_the_grid_counts_everything(size):
    seen = []

    def dense(image):
        seen.append(image)
        return torch.rand(1, 1, *image.shape[2:], generator=torch.Generator().manual_seed(0))

    image = torch.randint(256, (1, 3, *size), dtype=torch.uint8)
    density = FitToGrid(16)(dense, image)
    assert density.shape == (1, 1, *size)
    fitted = seen[0].shape[2:]
    assert all(
        length % 16 == 0 and (abs(length - old) <= 8 or length == 16) for length, old in zip(fitted, size, strict=True)
    )
    torch.testing.assert_close(density.sum(), dense(torch.empty(1, 3, *fitted)).sum())


def test_fitting_leaves_a_fitting_picture_and_scales_when_asked():
    image = torch.randint(256, (1, 3, 32, 48), dtype=torch.uint8)
    density = FitToGrid(16)(lambda given: given[:, :1].float() * (given is image), image)
    torch.testing.assert_close(density, image[:, :1].float())
    sizes = []
    FitToGrid(16, scale=2.0)(lambda given: sizes.append(given.shape[2:]) or given[:, :1], image)
    assert sizes == [(64, 96)]
    with pytest.raises(ConfigError, match="C135"):
        FitToGrid(0)


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_counts_of_tiles_add_up(overlap):
    class Here(nn.Module):
        """Density that is what the picture's first channel says, whatever the window."""

        def __call__(self, window):
            return window[:, :1]

    image = torch.rand(1, 3, 64, 96)
    tiles = FitToGrid(32, inner=SlidingWindow(32, overlap))
    torch.testing.assert_close(tiles(Here(), image), image[:, :1])
    torch.testing.assert_close(tiles(Here(), image).sum(), image[:, 0].sum())


def test_losses_are_weighted_and_finite_for_every_batch():
    network = make()
    empty, outside = sample(16, 24, 0), sample(16, 24, 1)
    outside["points"] = torch.tensor([[-3.0, 2.0], [24.0, 16.0], [9.0, 17.0]])
    for samples in ([sample(16, 24), sample(12, 20)], [empty], [outside], [sample(1, 30)], [sample(3, 2, 1)]):
        batch = collate(samples)
        features, task = network.encode(batch["image"]), network.named_tasks["counting"]
        terms = task.loss(features, batch)
        assert set(terms) == set(LOSSES)
        assert all(torch.isfinite(term) for term in terms.values())
        sum(terms.values()).backward()
        task.update(task.decide(task(features, batch["image"].shape[2:]), batch), batch)
        assert all(torch.isfinite(value) for value in task.metrics.compute().values())


def test_padding_of_a_batch_says_nothing():
    network = make().eval()
    batch = collate([sample(16, 24), sample(12, 20)])
    task, features = network.named_tasks["counting"], network.encode(batch["image"])
    before = task.loss(features, batch)
    changed = [features[0].clone(), features[1]]
    changed[0][1, :, 3:] += 100
    changed[0][1, :, :, 5:] += 100
    for name, value in task.loss(changed, batch).items():
        torch.testing.assert_close(value, before[name])
    outputs = task(features, (16, 24))
    prediction = task.decide(outputs, batch)
    cut = outputs[1, 0, :12, :20].double().sum().item()
    assert task.scores(prediction, batch)[1] == pytest.approx(-abs(cut - 5))
    task.update(prediction, batch)
    errors = -np.array(task.scores(prediction, batch))
    assert task.metrics.compute()["mae"].item() == pytest.approx(errors.mean())


def test_points_outside_are_not_counted():
    batch = collate([{**sample(16, 24), "points": torch.tensor([[0.0, 0.0], [24.0, 16.0], [24.5, 3.0]])}])
    task = make().named_tasks["counting"]
    assert task.scores({"density": torch.full((1, 16, 24), 2 / 384)}, batch)[0] == pytest.approx(0, abs=1e-5)


def test_pictures_show_both_counts():
    network = make().eval()
    batch = collate([sample(48, 64, 0), sample(33, 40)])
    prediction = network.predict(batch)["counting"]
    task = network.named_tasks["counting"]
    for index in range(2):
        own = sample_of(batch, index)
        both = task.draw(own, prediction_of(prediction, batch, index))
        truth = task.draw(own)
        assert both.dtype == truth.dtype == np.uint8
        assert both.shape[1] > truth.shape[1] > 0


@pytest.mark.parametrize("name", ["density", "bayesian"])
def test_it_learns_to_count(name):
    torch.manual_seed(0)
    crowds = Crowds("train", size=48, most=12, head_px=(6, 8))
    batch = collate([crowds[index] for index in range(6)])
    path = partial(UNet, widths=[24, 16], stride=4)
    options = {"decoder": partial(Density, path=path, width=16), "losses": {name: LOSSES[name]}}
    encoder = ConvEncoder((8, 16, 24), (4, 2, 2), spatial_dims=2, in_chans=3, mean=0.5, std=0.25)
    network = Network(encoder, {"counting": partial(Counting, **options)}, {"points": Objects()})
    task, optimizer = network.named_tasks["counting"], torch.optim.Adam(network.parameters(), 1e-2)
    errors = []
    for _ in range(60):
        (term,) = network.loss(batch)["counting"].values()
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        errors.append(-np.mean(task.scores(network.predict(batch)["counting"], batch)))
    assert np.mean(errors[-10:]) < 0.3 * errors[0]


def test_what_cannot_be():
    for options, code in (
        ({"labels": None}, "C130"),
        ({"losses": {"density": SquaredDensity(0.0)}}, "C131"),
        ({"monitor": Monitor("mea", "min")}, "C132"),
        ({"decoder": partial(TinyDecoder, out_channels=3)}, "C133"),
        ({"decoder": partial(TinyDecoder, out_channels=1)}, "C134"),
        ({"inference": MultiScale()}, "C135"),
        ({"inference": FitToGrid(inner=MultiScale())}, "C135"),
    ):
        with pytest.raises(ConfigError) as caught:
            make(**options)
        assert caught.value.code == code
