from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from visionkit.reports.samples import write_samples


def source(*images: torch.Tensor) -> SimpleNamespace:
    return SimpleNamespace(dataset=[{"image": image} for image in images])


def test_the_first_pictures_of_each_source_are_written(tmp_path) -> None:
    colour = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    grey = torch.randint(0, 256, (1, 4, 9), dtype=torch.uint8)
    folder = write_samples({"a": source(colour, colour), "b": source(grey), "c": source()}, tmp_path / "samples")
    assert sorted(path.name for path in folder.iterdir()) == ["a_0.png", "b_0.png"]
    assert np.array_equal(np.asarray(Image.open(folder / "a_0.png")), colour.permute(1, 2, 0).numpy())
    assert np.asarray(Image.open(folder / "b_0.png")).shape == (4, 9, 3)


def test_volumes_are_not_pictures(tmp_path) -> None:
    assert write_samples({"a": source(torch.zeros(1, 3, 4, 5))}, tmp_path / "samples") is None
