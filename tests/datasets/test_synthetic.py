"""Generated shapes: determinism, geometry, and that colour does not give the class away."""

import numpy as np
import pytest
import torch

from visionkit.datasets.synthetic import SHAPES, Shapes
from visionkit.errors import ConfigError


def test_samples_depend_on_split_index_and_seed_alone():
    first, again = Shapes("train"), Shapes("train")
    assert torch.equal(first[7]["image"], again[7]["image"])
    assert torch.equal(first[7]["mask"], again[7]["mask"])
    others = [Shapes("val")[7], Shapes("train", seed=1)[7], first[8]]
    assert not any(torch.equal(first[7]["image"], other["image"]) for other in others)
    assert torch.equal(Shapes("train", length=9)[7]["image"], first[7]["image"])


def test_contents():
    dataset = Shapes("train", size=[40, 56], classes=list(SHAPES))
    assert dataset.labels["mask"].names == ("background", *SHAPES)
    assert len(dataset.labels["mask"].colors) == len(dataset.labels["mask"])
    empty, seen = 0, set()
    for index in range(120):
        sample = dataset[index]
        assert sample["image"].shape == (3, 40, 56)
        assert sample["image"].dtype == torch.uint8
        assert sample["mask"].dtype == torch.int64
        assert sample["valid"].all()
        seen |= set(sample["mask"].unique().tolist())
        empty += not sample["mask"].any()
    assert seen == set(range(7))
    assert 0 < empty < 40


def test_shapes_are_what_they_are_called():
    """Area of each distance's inside against the formula of the figure."""
    step = 1 / 200
    axis = np.arange(-1.5, 1.5, step, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    corner, inner = 1.0, 0.45
    areas = {
        "disc": np.pi * 0.88**2,
        "square": (2 * 0.76) ** 2,
        "triangle": 3 * 3**0.5 / 4,
        "ring": np.pi * (0.94**2 - 0.5**2),
        "cross": 2 * 1.9 * 0.64 - 0.64**2,
        "star": 5 * corner * inner * np.sin(np.pi / 5),
    }
    for name, shape in SHAPES.items():
        area = (shape.distance(x, y) < 0).sum() * step**2
        assert area == pytest.approx(areas[name], rel=0.01), name


def test_the_mean_color_of_a_shape_does_not_tell_its_class():
    means = {label: [] for label in range(1, 6)}
    dataset = Shapes("train", length=400, size=48)
    for index in range(400):
        sample = dataset[index]
        for label in sample["mask"].unique().tolist():
            if label:
                means[label].append(sample["image"][:, sample["mask"] == label].float().mean(1))
    stacked = [torch.stack(values) for values in means.values()]
    spread = torch.stack([values.mean(0) for values in stacked]).std(0)
    assert (spread < 0.35 * torch.cat(stacked).std(0)).all()


def test_grey_is_the_luma_of_colour():
    color, grey = Shapes("val")[3]["image"].float(), Shapes("val", channels=1)[3]["image"]
    assert grey.shape == (1, 96, 96)
    luma = (color * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    assert (grey[0] - luma).abs().max() <= 1.5


def test_sizes_vary_in_their_range():
    dataset = Shapes("train", size=[20, 30], max_size=[24, 60])
    shapes = {tuple(dataset[index]["mask"].shape) for index in range(60)}
    assert {height for height, _ in shapes} == set(range(20, 25))
    assert min(width for _, width in shapes) < 35
    assert max(width for _, width in shapes) in range(50, 61)


@pytest.mark.parametrize("size", [1, [1, 50], 5])
def test_tiny_pictures(size):
    dataset = Shapes("train", size=size)
    assert all(dataset[index]["image"].shape[1:] == dataset[index]["mask"].shape for index in range(20))


def test_length_by_split_and_ends():
    lengths = {"train": 5, "val": 2}
    dataset = Shapes("val", length=lengths)
    assert len(dataset) == 2
    assert [sample["key"] for sample in (dataset[0], dataset[1])] == ["val_000000", "val_000001"]
    with pytest.raises(IndexError):
        dataset[2]
    with pytest.raises(ConfigError, match="C52"):
        Shapes("test", length=lengths)


def test_no_shapes_is_only_background():
    assert not Shapes("train", classes=[])[0]["mask"].any()


def test_mistakes():
    with pytest.raises(ConfigError, match="did you mean star"):
        Shapes("train", classes=["stra"])
    with pytest.raises(ConfigError, match="C54"):
        Shapes("train", size=0)
    with pytest.raises(ConfigError, match="C50"):
        Shapes("train", channels=2)
