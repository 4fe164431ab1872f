"""A dataset that is another one in each split: to train on generated words and be tested on real ones."""

from collections.abc import Callable

from visionkit.datasets.line_splits import check_split
from visionkit.errors import ConfigError
from visionkit.types import Dataset


def per_split(
    split: str,
    train: Callable[..., Dataset],
    val: Callable[..., Dataset],
    test: Callable[..., Dataset],
    channels: int = 3,
) -> Dataset:
    """The split of the layout that is named for it; roots belong to the layouts.

    Args:
        split: train, val or test.
        train, val, test: layouts; of each the split of that name is taken, unless it names another itself.
        channels: of the pictures.

    Raises ConfigError: C52 unknown split, C11 labels that differ from those of training.
    """
    check_split(split)
    layouts = {"train": train, "val": val, "test": test}
    dataset = layouts[split](**_options(layouts[split], split, channels))
    wanted = dataset.labels if split == "train" else train(**_options(train, "train", channels)).labels
    if dataset.labels != wanted:
        what = "has other labels than the training split"
        raise ConfigError("C11", f"dataset.layout.{split}", what, "give all splits the same characters and rules")
    return dataset


def _options(layout: Callable[..., Dataset], split: str, channels: int) -> dict[str, object]:
    named = getattr(layout, "keywords", {})
    return {"channels": channels} if "split" in named else {"channels": channels, "split": split}
