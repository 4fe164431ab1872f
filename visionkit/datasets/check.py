"""Every fault of a dataset without training: reads all samples and goes on after each that is lost."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visionkit.datasets.findings import Finding
from visionkit.datasets.pairs import SPLITS
from visionkit.datasets.table_boxes import table_doubts
from visionkit.errors import DataError, VisionkitError
from visionkit.labels import Classes
from visionkit.layers.points import inside
from visionkit.types import Dataset, Sample

Progress = Callable[[int, int], None]
"""Called with the samples done and all samples."""

_SMALL_PX = 8


class Tally:
    """Counts over the samples that could be read: how many there are, and the pixels of each class."""

    def __init__(self) -> None:
        self.samples = 0
        self.lost = 0
        self.pixels: dict[str, int] = {}
        """Pixels by class name, in the order of the classes."""
        self.unknown = 0
        """Pixels whose class is not known."""

    def add(self, sample: Sample, classes: Classes | None) -> None:
        """Counts one sample."""
        self.samples += 1
        if classes is None or "mask" not in sample:
            return
        counts = np.bincount(sample["mask"].numpy().ravel() + 1, minlength=len(classes) + 1)
        self.unknown += int(counts[0])
        for name, count in zip(classes.names, counts[1:].tolist(), strict=True):
            self.pixels[name] = self.pixels.get(name, 0) + count

    @property
    def absent(self) -> list[str]:
        """Classes that no sample shows."""
        return [name for name, count in self.pixels.items() if count == 0]


def check(
    dataset: Dataset, progress: Progress | None = None, tally: Tally | None = None, place: str = ""
) -> Iterator[Finding]:
    """Findings of one dataset, as they come. Nothing that a file holds stops it.

    A dataset may offer ``problems()`` (findings of its listing) and ``examine(index)`` (what can be read
    of a sample, and all its faults); otherwise a sample's first fault is found by reading it.

    Args:
        dataset: any Dataset.
        progress: told after each sample.
        tally: filled with counts.
        place: what findings about the whole dataset are named by (the split).
    """
    tally = Tally() if tally is None else tally
    classes = dataset.labels.get("mask")
    seen: set[tuple[str, str, str]] = set()
    for finding in _all(dataset, tally, classes if isinstance(classes, Classes) else None, progress):
        identity = (finding.path, finding.code, finding.what)
        if identity not in seen:
            seen.add(identity)
            yield finding
    for name in tally.absent:
        what = f"no pixel of the class {name!r} in {tally.samples} samples"
        yield Finding(place, "D36", what, "check the list of classes, or add samples that show it", "warning")


def check_splits(
    layout: Callable[..., Dataset],
    splits: Iterable[str] = SPLITS,
    progress: Progress | None = None,
    tallies: Mapping[str, Tally] | None = None,
    **options: Any,
) -> Iterator[Finding]:
    """Findings of several splits, each once; a split that cannot be opened is a finding too.

    Args:
        layout: called as ``layout(split=..., **options)``.
        splits: names of the splits.
        progress: told after each sample, by split.
        tallies: for each split a tally to be filled.
        options: such as root and channels.
    """
    seen: set[tuple[str, str, str]] = set()
    for split in splits:
        try:
            dataset = layout(split=split, **options)
            findings = check(dataset, progress, (tallies or {}).get(split), split)
        except DataError as error:
            findings = iter([Finding.of(error)])
        for finding in findings:
            identity = (finding.path, finding.code, finding.what)
            if identity not in seen:
                seen.add(identity)
                yield finding


def _all(dataset: Dataset, tally: Tally, classes: Classes | None, progress: Progress | None) -> Iterator[Finding]:
    if hasattr(dataset, "problems"):
        yield from dataset.problems()
    for index in range(len(dataset)):
        sample, errors = _examine(dataset, index)
        yield from (Finding.of(error, dataset.key(index)) for error in errors)
        if errors:
            tally.lost += 1
        else:
            tally.add(sample, classes)
            yield from _doubts(sample)
        if progress is not None:
            progress(index + 1, len(dataset))


def _examine(dataset: Dataset, index: int) -> tuple[Sample, list[DataError]]:
    try:
        if hasattr(dataset, "examine"):
            return dataset.examine(index)
        return dataset[index], []
    except DataError as error:
        return {}, [error]
    except (VisionkitError, MemoryError):
        raise
    except Exception as error:  # a fault that nobody foresaw must not hide those that come after it
        what = f"reading fails with {type(error).__name__}: {' '.join(str(error).split())[:160]}"
        return {}, [DataError("D39", dataset.key(index), what, "look at its files, and report this")]


def _doubts(sample: Sample) -> Iterator[Finding]:
    path, key = _place(sample), sample["key"]
    size = sample["image"].shape[1:]
    if sum(length >= _SMALL_PX for length in size) < 2:  # a volume may be a single slice
        cells = f"{' x '.join(map(str, reversed(size)))} {'pixels' if len(size) == 2 else 'voxels'}"
        yield Finding(path, "D34", f"is only {cells}", "see that this is meant", "warning", key)
    if "mask" in sample and bool((sample["mask"] < 0).all()):
        yield Finding(
            path, "D35", "its mask says nothing: every pixel is unknown", "see that this is meant", "warning", key
        )
    if "edges" in sample and not bool((sample["edges"] == 1).any()):
        yield Finding(path, "D85", "nobody drew an edge in it", "see that this is meant", "warning", key)
    if "table" in sample:
        yield from (Finding(path, *doubt, "warning", key) for doubt in table_doubts(sample["table"], size))
    if "points" in sample:
        outside = int((~inside(sample["points"], size)).sum())
        if outside:
            what = f"{outside} of its {len(sample['points'])} points lie outside the picture, and are not counted"
            yield Finding(path, "D93", what, "mend or remove them", "warning", key)


def _place(sample: Sample) -> str:
    """What findings about a sample are named by: its file, and its key where several samples are of that file."""
    path, key = sample.get("path") or sample["key"], sample["key"]
    return path if path == key or _tells(path, key) else f"{path}, {key}"


def _tells(path: str, key: str) -> bool:
    """Whether a path ends with a key, whose folders are joined by two underscores; the file's name may go on."""
    parts = Path(path).parts
    ends = ("__".join(parts[start:]) for start in range(len(parts)))
    return any(end.startswith(key) and "__" not in end[len(key) :] for end in ends)
