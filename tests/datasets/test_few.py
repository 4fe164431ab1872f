from functools import partial

import pytest

from visionkit.datasets.digits import DigitStrings
from visionkit.datasets.few import Few
from visionkit.errors import ConfigError

few = partial(Few, DigitStrings, length={"train": 7, "val": 2, "test": 2})


def test_every_split_holds_the_same_samples() -> None:
    train, test = few(split="train", count=3), few(split="test", count=3)
    assert len(train) == len(test) == 3
    assert train.labels == DigitStrings("train").labels
    assert [train.key(n) for n in range(3)] == [test.key(n) for n in range(3)]
    assert train[2]["text"] == test[2]["text"]
    assert train.size(1) == test.size(1)
    with pytest.raises(IndexError):
        train[3]


def test_no_more_than_there_are_and_not_none() -> None:
    assert len(few(split="train", count=50)) == 7
    with pytest.raises(ConfigError, match="C197"):
        few(split="train", count=0)
