"""Digit strings: labels, determinism, and that no digit is in two splits."""

import sys

import numpy as np
import pytest
import torch

from visionkit.datasets.digits import DigitStrings, _scanned
from visionkit.errors import ConfigError, ResourceError


def test_samples_depend_on_split_index_and_seed_alone() -> None:
    first, again = DigitStrings("train"), DigitStrings("train")
    assert torch.equal(first[7]["image"], again[7]["image"])
    for other in (DigitStrings("val")[7], DigitStrings("train", seed=1)[7], first[8]):
        assert other["image"].shape != first[7]["image"].shape or not torch.equal(first[7]["image"], other["image"])


def test_strings_have_two_to_six_digits_and_sizes_are_known_before() -> None:
    dataset = DigitStrings("train", channels=3, height=24)
    samples = [dataset[index] for index in range(60)]
    assert {len(sample["text"]) for sample in samples} == {2, 3, 4, 5, 6}
    assert set("".join(sample["text"] for sample in samples)) == set(dataset.labels["text"].characters)
    for index, sample in enumerate(samples):
        assert sample["image"].shape[1:] == sample["valid"].shape == dataset.size(index)
        assert (sample["image"].shape[0], sample["image"].shape[1]) == (3, 24)
        assert bool((sample["image"] < 160).any())


def test_no_digit_is_in_two_splits_and_none_is_lost() -> None:
    sets = [DigitStrings(split) for split in ("train", "val", "test")]
    images, values = _scanned()
    assert sum(len(one.values) for one in sets) == len(values) == 1797
    assert all(set(one.values.tolist()) == set(range(10)) for one in sets)
    known = [{image.tobytes() for image in one.images} for one in sets]
    assert sum(map(len, known)) == len(set.union(*known))
    assert set.union(*known) == {image.tobytes() for image in images}


def test_a_single_digit_is_the_scanned_one() -> None:
    """Scaled back, it is nearest to a digit of its own class."""
    import cv2

    dataset = DigitStrings("test", digits=(1, 1), height=64)
    flat = dataset.images.reshape(len(dataset.images), -1).astype(float)
    right = 0
    for index in range(30):
        sample = dataset[index]
        ink = 255 - sample["image"][0].numpy().astype(float)
        rows, columns = (np.flatnonzero((ink > 90).any(axis)) for axis in (1, 0))
        cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        tight = np.zeros((8, 8))
        width = max(1, round(cut.shape[1] * 8 / cut.shape[0]))
        small = cv2.resize(cut, (min(8, width), 8), interpolation=cv2.INTER_AREA)
        left = (8 - small.shape[1]) // 2
        tight[:, left : left + small.shape[1]] = small
        tight = (tight * 255 / tight.max()).ravel()
        right += str(dataset.values[np.argmin(((flat - tight) ** 2).sum(1))]) == sample["text"]
    assert right > 15  # three by chance


def test_empty_strings_and_wrong_options() -> None:
    blank = DigitStrings("train", digits=(0, 0))[0]
    assert (blank["text"], blank["image"].shape) == ("", (1, 32, 16))
    for code, options in (
        ("C50", {"channels": 2}),
        ("C187", {"height": 4}),
        ("C189", {"digits": (3, 2)}),
        ("C52", {"length": {"val": 3}}),
    ):
        with pytest.raises(ConfigError, match=code):
            DigitStrings("train", **options)  # type: ignore[arg-type]


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    _scanned.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ResourceError, match=r"R14.*visionkit\[digits\]"):
        DigitStrings("train")
