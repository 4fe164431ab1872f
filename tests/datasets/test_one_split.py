from functools import partial

from visionkit.datamodule import Source
from visionkit.datasets.one_split import one_split
from visionkit.datasets.synthetic import Shapes


def keys(only: str | None) -> list[str]:
    layout = partial(one_split, layout=partial(Shapes, length=1, size=8), only=only)
    source = Source(layout=layout)
    return [source.split(split).key(0) for split in ("train", "val", "test")]


def test_every_split_is_the_same_or_itself():
    assert len(set(keys("train"))) == 1
    assert keys("train")[0] == keys(None)[0]
    assert len(set(keys(None))) == 3
