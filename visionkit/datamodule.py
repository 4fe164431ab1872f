"""DataModule: named sources of samples, each with its splits, transforms and batch size."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import cv2
import numpy as np
import torch
from jaxtyping import Int64
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from visionkit.datasets.batches import EvalBatches, Passes, Place, TrainBatches
from visionkit.datasets.collate import collate, to_device
from visionkit.datasets.examples import Examples, OnBad
from visionkit.datasets.intensity import WithIntensity
from visionkit.datasets.mixtures import Each, Mixture
from visionkit.datasets.text_size import size_groups
from visionkit.datasets.transforms import Augment, Resize
from visionkit.errors import ConfigError, DataError
from visionkit.types import Batch, Dataset, Intensity, Sample, Transform


class Source:
    """One dataset as it is trained and evaluated on.

    Args:
        layout: makes a split: ``layout(split="train"|"val"|"test", channels=..., [root=...])``.
        augment: named transforms in their order, for training only.
        augmenter: makes one transform of them; of albumentations by default.
        intensity: brings a whole volume's values to one scale, before everything else; None for pictures.
        root: folder of the data; None for data that is generated.
        channels: of the pictures, 1 or 3.
        size: ``[height, width]`` that every picture is resized to, or None for its own.
        prepare: named transforms in their order for training, evaluation and prediction alike, such as ``ToHeight``.
        group_px: samples whose pictures are equally high and, in steps of so many pixels, equally wide share
            training batches, which are padded to a multiple of it; None leaves them to chance.
        batch_size: samples a batch and process in training; ``auto`` finds the fastest when it starts.
        eval_batch_size: the same in evaluation, a number.
        on_bad: ``error`` stops at a file that cannot be used, ``skip`` names it and goes on.

    Raises ConfigError C59 for a batch size that is none.
    """

    def __init__(
        self,
        layout: Callable[..., Dataset],
        augment: Mapping[str, Any] | None = None,
        root: str | None = None,
        channels: int = 3,
        size: tuple[int, int] | None = None,
        batch_size: int | Literal["auto"] = 8,
        eval_batch_size: int = 1,
        on_bad: OnBad = "error",
        intensity: Intensity | None = None,
        augmenter: Callable[[Mapping[str, Any]], Transform] = Augment,
        prepare: Mapping[str, Transform | None] | None = None,
        group_px: int | None = None,
    ) -> None:
        if batch_size != "auto":
            _check_number("dataset.batch_size", batch_size, 1, ", or auto")
        _check_number("dataset.eval_batch_size", eval_batch_size, 1)
        if group_px is not None:
            _check_number("dataset.group_px", group_px, 1, ", or null")
        place: dict[str, Any] = {} if root is None else {"root": Path(root).expanduser()}
        self.split = lambda split: layout(split=split, channels=channels, **place)
        self.augment = [augmenter(augment)] if augment else []
        self.prepare: list[Transform] = [WithIntensity(intensity)] if intensity else []
        self.prepare += [Resize(tuple(size))] if size else []
        self.prepare += [transform for transform in (prepare or {}).values() if transform is not None]
        self.group_px = group_px
        self.batch_size, self.eval_batch_size, self.on_bad = batch_size, eval_batch_size, on_bad

    def examples(self, split: str, seed: int = 0) -> Examples:
        """The samples of a split, augmented if it is the training split."""
        transforms = self.prepare + (self.augment if split == "train" else [])
        return Examples(self.split(split), transforms, seed=seed, on_bad=self.on_bad)

    def groups(self, examples: Examples) -> Int64[np.ndarray, "n"] | None:
        """Which samples share batches, from the sizes that pictures will have; None where nothing was asked for."""
        if self.group_px is None:
            return None
        return size_groups(examples.dataset, self.prepare, self.group_px)


class Collated(NamedTuple):
    """What a loader returns: batches by source, and the errors that a worker met."""

    batches: dict[str, Batch]
    errors: list[DataError]


class _Joint(TorchDataset):
    """All sources as one dataset, so that one pool of workers serves them all."""

    def __init__(self, sources: Mapping[str, Examples], width_steps_px: Mapping[str, int | None] | None = None) -> None:
        self.sources, self.width_steps_px = dict(sources), dict(width_steps_px or {})

    def __getitem__(self, place: Place) -> tuple[str, Sample | DataError | None]:
        source, epoch, index = place
        return source, self.sources[source].fetch(epoch, index)

    def collate(self, fetched: list[tuple[str, Sample | DataError | None]]) -> Collated:
        """Groups by source. A batch whose samples were all skipped is left out."""
        samples: dict[str, list[Sample]] = {}
        for source, sample in fetched:
            if isinstance(sample, dict):
                samples.setdefault(source, []).append(sample)
        errors = [sample for _, sample in fetched if isinstance(sample, DataError)]
        steps = {source: self.width_steps_px.get(source) or 1 for source in samples}
        return Collated({source: collate(group, steps[source]) for source, group in samples.items()}, errors)


class _LazyLoader(DataLoader):
    """Starts its workers at the first batch asked for: Lightning opens it before it restores the position."""

    def __iter__(self) -> Iterator[Collated]:  # type: ignore[override]
        yield from super().__iter__()


class DataModule(LightningDataModule):
    """Batches of every source; their order and augmentation depend on seed and position alone.

    Args:
        sources: by name.
        seed: of the run.
        workers: processes that read samples, or ``auto``: none on one or two cores, else up to eight.
        mixture: chooses the sources of each training step; a batch of every one by default.
        labels_of: the split that says what the targets mean.

    Raises ConfigError: C11 sources that disagree on labels, C59 workers that are no number.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        seed: int = 0,
        workers: int | str = "auto",
        mixture: Mixture | None = None,
        labels_of: str = "train",
    ) -> None:
        super().__init__()
        self.mixture = mixture or Each()
        self.sources, self.seed, self.workers = dict(sources), seed, _workers(workers)
        self.labels = self._labels(labels_of)

    def examples(self, split: str) -> dict[str, Examples]:
        """The samples of a split, by source."""
        return {name: source.examples(split, self.seed) for name, source in self.sources.items()}

    def train_dataloader(self) -> DataLoader:
        """One loader over all sources; a batch is ``dict[source, Batch]``."""
        examples, (rank, world) = self.examples("train"), self._rank()
        for name, samples in examples.items():
            if not len(samples):
                raise DataError("D01", name, "no training samples", "check dataset.root and the split lists")
        passes = {
            name: Passes(
                len(samples),
                cast(int, self.sources[name].batch_size),
                self.seed,
                rank,
                world,
                self.sources[name].groups(samples),
            )
            for name, samples in examples.items()
        }
        steps = {name: self.sources[name].group_px for name in examples}
        return self._loader(_Joint(examples, steps), TrainBatches(passes, self._consumed, self.mixture, self.seed))

    def state_dict(self) -> dict[str, Any]:
        """What the mixture has learnt from the losses so far."""
        return self.mixture.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of ``state_dict``."""
        self.mixture.load_state_dict(state_dict)

    def val_dataloader(self) -> list[DataLoader]:
        """One loader for each source."""
        return self._eval_loaders("val")

    def test_dataloader(self) -> list[DataLoader]:
        """One loader for each source."""
        return self._eval_loaders("test")

    def transfer_batch_to_device(
        self, batch: dict[str, Batch] | Batch, device: torch.device, dataloader_idx: int
    ) -> dict[str, Batch] | Batch:
        """Tensors to the device; Lightning's own would also look into every token of every table."""
        if self.trainer is None or self.trainer.training:
            return {name: to_device(source, device) for name, source in batch.items()}  # type: ignore[arg-type]
        return to_device(batch, device)  # type: ignore[arg-type]

    def on_before_batch_transfer(self, batch: Collated, dataloader_idx: int) -> dict[str, Batch] | Batch:
        """Raises what a worker could not; in evaluation unwraps the one source."""
        if batch.errors:
            raise batch.errors[0]
        if self.trainer is None or self.trainer.training:
            return batch.batches
        return next(iter(batch.batches.values()), Batch())

    def _eval_loaders(self, split: str) -> list[DataLoader]:
        rank, world = self._rank()
        return [
            self._loader(
                _Joint({name: samples}),
                EvalBatches(name, len(samples), self.sources[name].eval_batch_size, rank, world),
            )
            for name, samples in self.examples(split).items()
        ]

    def _loader(self, dataset: _Joint, batches: TrainBatches | EvalBatches) -> DataLoader:
        return _LazyLoader(
            dataset,
            batch_sampler=batches,  # type: ignore[arg-type]
            collate_fn=dataset.collate,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            worker_init_fn=_one_thread,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # otherwise each epoch would draw from the model's random stream
        )

    def _labels(self, split: str) -> dict[str, Any]:
        labels: dict[str, Any] = {}
        for name, source in self.sources.items():
            for target, value in source.split(split).labels.items():
                if labels.setdefault(target, value) != value:
                    what = f"names other labels for '{target}' than the sources before it"
                    raise ConfigError("C11", f"dataset.{name}", what, "train them as two tasks or map the labels")
        return labels

    def _consumed(self) -> int:
        if self.trainer is None or self.trainer.overfit_batches:  # type: ignore[attr-defined]
            return 0  # overfitting sees the same batches in every epoch
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.ready

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)  # the workers share the cores already


def _check_number(place: str, value: Any, least: int, others: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        fix = f"set it to a whole number, {least} or more{others}"
        raise ConfigError("C59", f"{place}={value}", "is not possible", fix)


def _workers(workers: int | str) -> int:
    if workers != "auto":
        _check_number("workers", workers, 0, ", or auto")
        return int(workers)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if cores <= 2 else min(cores, 8)
