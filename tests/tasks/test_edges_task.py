from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from visionkit.datasets.collate import collate
from visionkit.datasets.unbatch import prediction_of, sample_of
from visionkit.decoders.sides import Sides
from visionkit.decoders.unet import UNet
from visionkit.errors import ConfigError
from visionkit.inference import MultiScale
from visionkit.labels import Edges
from visionkit.losses.edge_targets import agreement, consensus, soft
from visionkit.losses.edges import BalancedBCE, EdgeDice, balanced_bce, edge_dice
from visionkit.network import Network
from visionkit.tasks.edges import EdgeDetection
from visionkit.types import Monitor


class TinyEncoder(nn.Module):
    """Two maps, strides 2 and 4."""

    channels, strides, in_chans, spatial_dims = (4, 6), (2, 4), 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 2, stride=2), nn.Conv2d(4, 6, 2, stride=2)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        first = self.first(image).relu()
        return [first, self.second(first).relu()]


def make(labels: Edges | None = Edges(), **options) -> Network:  # noqa: B008
    torch.manual_seed(0)
    options = {"decoder": Sides, "losses": {"balanced_bce": BalancedBCE(), "dice": EdgeDice(0.5)}, **options}
    return Network(TinyEncoder(), {"edges": partial(EdgeDetection, **options)}, {"edges": labels})


def sample(height: int, width: int, annotators: int = 3, values: tuple[int, int] = (0, 2)) -> dict:
    random = torch.Generator().manual_seed(height)
    return {
        "key": f"{height}x{width}",
        "image": torch.randint(256, (3, height, width), generator=random, dtype=torch.uint8),
        "edges": torch.randint(*values, (annotators, height, width), generator=random, dtype=torch.int8),
    }


def test_output_and_decision():
    network = make()
    outputs = network(torch.rand(2, 3, 13, 22))["edges"]
    assert outputs.shape == (2, 1, 13, 22)
    edges = network.named_tasks["edges"].decide(outputs, {})["edges"]
    torch.testing.assert_close(edges, 1 / (1 + torch.exp(-outputs[:, 0])))


@pytest.mark.parametrize("truth", [consensus, soft])
@pytest.mark.parametrize("side_weight", [0.0, 0.3, 1.0])
def test_loss_is_the_weighted_mean_over_fused_and_sides(truth, side_weight):
    network = make(truth=truth, side_weight=side_weight)
    batch = collate([sample(16, 24), sample(12, 20, annotators=1)])
    task, features = network.named_tasks["edges"], network.encode(batch["image"])
    target = truth(agreement(batch["edges"]))
    maps = [
        F.interpolate(x, scale_factor=stride, mode="bilinear")[:, 0]
        for x, stride in zip(task.decoder.deep(features), (2, 2, 4), strict=True)
    ]
    weights = [1, side_weight, side_weight]
    for name, function, weight in (("balanced_bce", balanced_bce, 1), ("dice", edge_dice, 0.5)):
        parts = sum(w * function(x, target) for w, x in zip(weights, maps, strict=True)) / sum(weights)
        torch.testing.assert_close(task.loss(features, batch)[name], weight * parts)


def test_padding_and_unreal_pixels_say_nothing():
    network = make()
    batch = collate([sample(16, 24), sample(12, 20)])
    features = network.encode(batch["image"])
    task = network.named_tasks["edges"]
    before = task.loss(features, batch)
    batch["edges"][1, :, 12:] = 1
    after = task.loss(features, batch)
    assert all(torch.equal(before[name], after[name]) for name in before)
    found = {"edges": torch.rand(2, 16, 24)}
    scores = task.scores(found, batch)
    found["edges"][1, 12:] = 1
    assert task.scores(found, batch) == scores


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (40, 1)])
@pytest.mark.parametrize("annotators", [1, 4])
@pytest.mark.parametrize("values", [(0, 1), (1, 2), (-1, 0), (0, 2)])
def test_small_pictures_and_empty_drawings(size, annotators, values):
    network = make(decoder=partial(Sides, width=5, path=UNet)).train()
    batch = collate([sample(*size, annotators, values)])
    terms = network.loss(batch)["edges"]
    assert all(torch.isfinite(term) for term in terms.values())
    sum(terms.values()).backward()
    assert all(torch.isfinite(value.grad).all() for value in network.parameters())
    task = network.eval().named_tasks["edges"]
    prediction = network.predict(batch)["edges"]
    assert prediction["edges"].shape == (1, *size)
    task.update(prediction, batch)
    assert all(((value >= 0) & (value <= 1)).all() for value in task.metrics.compute().values())
    assert 0 <= task.scores(prediction, batch)[0] <= 1
    assert task.draw(sample_of(batch, 0), prediction_of(prediction, batch, 0)).ndim == 3


def test_several_scales_are_averaged():
    network = make(inference=MultiScale((0.5, 1.0), flip=True)).eval()
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        views = []
        for view in (F.interpolate(image, size=(8, 12), mode="bilinear"), image):
            views += [network(view)["edges"], network(view.flip(-1))["edges"].flip(-1)]
        mean = sum(F.interpolate(view, size=(16, 24), mode="bilinear") for view in views) / 4
        torch.testing.assert_close(network.predict({"image": image})["edges"]["edges"], mean[:, 0].sigmoid())


def test_perfect_and_useless_predictions():
    network = make()
    task = network.named_tasks["edges"]
    drawn = torch.zeros(2, 1, 30, 40, dtype=torch.int8)
    drawn[:, :, 12, 5:35] = 1  # at the border what is found counts less
    far = torch.zeros(2, 30, 40)
    far[0, 12, 5:35], far[1, 25, 5:35] = 1.0, 1.0
    batch = {"image": torch.zeros(2, 3, 30, 40), "edges": drawn}
    assert task.scores({"edges": far}, batch) == [1.0, 0.0]


def test_pictures_show_what_there_is():
    task = make().named_tasks["edges"]
    one = sample(20, 30)
    found = {"edges": torch.rand(20, 30)}
    widths = [
        task.draw(one, found).shape[1],
        task.draw({name: one[name] for name in ("key", "image")}, found).shape[1],
        task.draw(one).shape[1],
    ]
    assert widths[0] > widths[1] > widths[2]
    padded = {name: F.pad(one[name], (0, 9, 0, 5)) for name in ("image", "edges")}
    valid = F.pad(torch.ones(20, 30, dtype=torch.bool), (0, 9, 0, 5))
    drawn = task.draw({"key": "a", **padded, "valid": valid}, {"edges": F.pad(found["edges"], (0, 9, 0, 5))})
    assert (drawn == task.draw(one, found)).all()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"labels": None}, "C120"),
        ({"losses": {"balanced_bce": BalancedBCE(0.0)}}, "C121"),
        ({"monitor": Monitor("miou", "max")}, "C122"),
        ({"decoder": UNet}, "C123"),
    ],
)
def test_mistakes_are_named(options, code):
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert caught.value.code == code
