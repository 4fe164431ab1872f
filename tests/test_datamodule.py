from functools import partial
from itertools import chain
from typing import Any

import pytest
import torch
from toys import toy_datamodule, toy_source

from visionkit.datamodule import DataModule, Source
from visionkit.datasets.digits import DigitStrings
from visionkit.datasets.synthetic import Shapes
from visionkit.datasets.text_size import ToHeight
from visionkit.errors import ConfigError, DataError
from visionkit.labels import Classes
from visionkit.types import Sample


class Faulty(Shapes):
    """Every third sample cannot be read."""

    def __getitem__(self, index: int) -> Sample:
        if index % 3 == 0:
            raise DataError("D15", f"{index}.png", "truncated", "replace it")
        return super().__getitem__(index)


def faulty(on_bad: str, workers: int) -> DataModule:
    source = Source(partial(Faulty, length=6, size=12), batch_size=2, on_bad=on_bad)  # type: ignore[arg-type]
    return DataModule({"faulty": source}, workers=workers)


def images(datamodule: DataModule) -> list[torch.Tensor]:
    return [collated.batches["shapes"]["image"] for collated in datamodule.train_dataloader()]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_file_stops_with_its_own_error(workers: int) -> None:
    datamodule = faulty("error", workers)
    fetched = [collated for collated in datamodule.train_dataloader() if collated.errors]
    with pytest.raises(DataError, match="truncated"):
        datamodule.on_before_batch_transfer(fetched[0], 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_skipping_leaves_out_the_bad_files_alone(workers: int) -> None:
    datamodule = faulty("skip", workers)
    keys = [
        key
        for collated in datamodule.val_dataloader()[0]
        for batch in collated.batches.values()
        for key in batch["key"]
    ]
    assert keys == [datamodule.examples("val")["faulty"].key(index) for index in (1, 2, 4, 5)]


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose error or skip"):
        faulty("ignore", 0).examples("train")


def test_workers_and_repetition_change_nothing() -> None:
    first = images(toy_datamodule(8, workers=0))
    for again in (images(toy_datamodule(8, workers=0)), images(toy_datamodule(8, workers=2))):
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_augmentation_depends_on_epoch_and_key() -> None:
    examples = toy_source(4).examples("train", seed=3)
    assert torch.equal(examples[1, 2]["image"], examples[1, 2]["image"])
    assert any(not torch.equal(examples[1, i]["image"], examples[2, i]["image"]) for i in range(4))
    plain = toy_source(4).examples("val", seed=3)
    assert torch.equal(plain[1, 2]["image"], plain[2, 2]["image"])


def test_every_step_carries_every_source() -> None:
    datamodule = DataModule({"a": toy_source(6, 2), "b": toy_source(3, 3)}, workers=0)
    batches = [collated.batches for collated in datamodule.train_dataloader()]
    assert len(batches) == 3
    assert all(len(batch["a"]["key"]) == 2 and len(batch["b"]["key"]) == 3 for batch in batches)
    assert [len(list(loader)) for loader in datamodule.val_dataloader()] == [6, 3]


def test_sources_that_disagree_on_labels_are_refused() -> None:
    other = Source(partial(Shapes, length=4, size=12, classes=["disc"]))
    with pytest.raises(ConfigError, match="other labels"):
        DataModule({"a": toy_source(4), "b": other}, workers=0)
    assert isinstance(DataModule({"a": toy_source(4), "b": toy_source(5)}, workers=0).labels["mask"], Classes)


def test_resizing_comes_before_augmentation() -> None:
    source = Source(partial(Shapes, length=2, size=20), size=(10, 14))
    assert source.examples("train")[0]["image"].shape == (3, 10, 14)
    assert source.examples("test")[0]["mask"].shape == (10, 14)


@pytest.mark.parametrize("value", [0, -1, 2.5, "lots", None, True])
@pytest.mark.parametrize("key", ["batch_size", "eval_batch_size"])
def test_a_batch_size_that_is_none_is_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"C59\] dataset\.{key}={value}: .*1 or more") as caught:
        Source(partial(Shapes, length=4), **{key: value})  # type: ignore[arg-type]
    assert ("auto" in caught.value.fix) == (key == "batch_size")


def test_only_training_finds_its_batch_size() -> None:
    assert Source(partial(Shapes, length=4), batch_size="auto").batch_size == "auto"
    with pytest.raises(ConfigError, match="C59"):
        Source(partial(Shapes, length=4), eval_batch_size="auto")  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [-1, 1.5, "many", "2", None])
def test_workers_that_are_no_number_are_refused(workers: object) -> None:
    with pytest.raises(ConfigError, match=rf"C59\] workers={workers}: .*0 or more, or auto"):
        DataModule({"a": toy_source(4)}, workers=workers)  # type: ignore[arg-type]


def test_lines_of_like_widths_share_batches_and_pass_through_the_same_sizes() -> None:
    def source(**options: Any) -> Source:
        layout = partial(DigitStrings, length=64)
        return Source(layout, channels=1, batch_size=8, prepare={"height": ToHeight(16), "off": None}, **options)

    def widths(group_px: int | None) -> list[list[int]]:
        datamodule = DataModule({"digits": source(group_px=group_px)}, seed=3)
        batches = [collated.batches["digits"] for collated in datamodule.train_dataloader()]
        assert all(batch["image"].shape[1:3] == (1, 16) for batch in batches)
        return [batch["valid"][:, 0].sum(1).tolist() for batch in batches]

    grouped, mixed = widths(group_px=16), widths(group_px=None)
    assert sorted(chain(*grouped)) == sorted(chain(*mixed))
    padding = [sum(max(batch) - width for batch in batches for width in batch) for batches in (grouped, mixed)]
    assert padding[0] < padding[1] / 2
    loaded = DataModule({"digits": source(group_px=16)}, seed=3).train_dataloader()
    differing = [
        one.batches["digits"] for one in loaded if one.batches["digits"]["valid"][:, 0].sum(1).unique().numel() > 1
    ]
    assert differing
    assert all(batch["image"].shape[3] % 16 == 0 for batch in differing)
    assert source().examples("test")[0]["image"].shape[1] == 16
    with pytest.raises(ConfigError, match="C59"):
        source(group_px=0)
    shapes = Source(partial(Shapes, length=4, size=12), group_px=8)
    with pytest.raises(ConfigError, match="C188"):
        shapes.groups(shapes.examples("train"))
