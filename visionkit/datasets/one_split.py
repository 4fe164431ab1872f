"""One split of a dataset under every name: whether a model can learn at all is seen on what it was trained on."""

from collections.abc import Callable
from typing import Any

from visionkit.types import Dataset


def one_split(layout: Callable[..., Dataset], split: str, only: str | None, **options: Any) -> Dataset:
    """The split ``only`` of a layout, whatever split is asked for; every split as it is where ``only`` is None."""
    return layout(split=only or split, **options)
