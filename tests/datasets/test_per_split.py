from functools import partial

import pytest

from visionkit.datasets.digits import DigitStrings
from visionkit.datasets.line_styles import Lettering
from visionkit.datasets.line_words import Pronounceable
from visionkit.datasets.per_split import per_split
from visionkit.datasets.synthetic_lines import SyntheticLines
from visionkit.errors import ConfigError

SHORT = partial(DigitStrings, digits=(1, 2))
LONG = partial(DigitStrings, digits=(5, 6))


def test_each_split_is_of_its_own_layout() -> None:
    made = {split: per_split(split, SHORT, LONG, partial(LONG, split="val"), 1) for split in ("train", "val", "test")}
    assert [len(made[split][0]["text"]) > 2 for split in made] == [False, True, True]
    assert (made["val"].key(0), made["test"].key(0)) == ("val_000000", "val_000000")
    assert per_split("train", SHORT, LONG, LONG, 3)[0]["image"].shape[0] == 3


def test_labels_must_be_those_of_training() -> None:
    words = partial(SyntheticLines, words=Pronounceable(), style=Lettering())
    with pytest.raises(ConfigError, match=r"C11.*test"):
        per_split("test", SHORT, LONG, words, 1)
    with pytest.raises(ConfigError, match="C52"):
        per_split("dev", SHORT, LONG, LONG)
