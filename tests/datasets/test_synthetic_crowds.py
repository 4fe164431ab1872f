"""Generated crowds: determinism, empty pictures, and that a head is where its point is."""

import numpy as np
import pytest
import torch

from visionkit.datasets.synthetic_crowds import Crowds
from visionkit.errors import ConfigError
from visionkit.layers.points import inside


def test_samples_depend_on_split_index_and_seed_alone():
    first, again = Crowds("train"), Crowds("train")
    assert torch.equal(first[7]["image"], again[7]["image"])
    assert torch.equal(first[7]["points"], again[7]["points"])
    for other in (Crowds("val")[7], Crowds("train", seed=1)[7], first[8]):
        assert not torch.equal(first[7]["image"], other["image"])


def test_counts_vary_and_some_are_nothing():
    dataset = Crowds("train", size=[24, 40], most=9, length=60)
    samples = [dataset[index] for index in range(60)]
    assert {len(sample["points"]) for sample in samples} == set(range(10))
    for sample in samples:
        assert sample["image"].shape == (3, 24, 40)
        assert inside(sample["points"], (24, 40)).all()
    grey = Crowds("train", channels=1, most=0)
    assert grey[0]["image"].shape[0] == 1
    assert not any(len(grey[index]["points"]) for index in range(20))


def test_heads_differ_from_what_is_around():
    dataset = Crowds("val", most=5, head_px=(14, 14))
    on, far = [], []
    for index in range(12):
        sample = dataset[index]
        picture = sample["image"].float().mean(0).numpy()
        steep = np.hypot(*np.gradient(picture))
        mask = np.zeros_like(steep, dtype=bool)
        for x, y in sample["points"].long().tolist():
            mask[max(0, y - 9) : y + 9, max(0, x - 9) : x + 9] = True
        on.append(steep[mask])
        far.append(steep[~mask])
    assert np.concatenate(on).mean() > 1.5 * np.concatenate(far).mean()


def test_what_cannot_be():
    with pytest.raises(ConfigError, match="C50"):
        Crowds("train", channels=2)
    with pytest.raises(ConfigError, match="C52"):
        Crowds("test", length={"train": 3})
    with pytest.raises(ConfigError, match="C54"):
        Crowds("train", size=0)
