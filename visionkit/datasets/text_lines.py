"""Datasets of pictures of lines or words, with what is written in them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from visionkit.datasets.findings import Finding
from visionkit.datasets.images import picture_size, read_image
from visionkit.datasets.text_rules import TextRules, shown
from visionkit.errors import DataError
from visionkit.text.batches import frames_needed
from visionkit.types import Sample

_MEANT = "see that this is meant"


@dataclass(frozen=True)
class Line:
    """A line or word that is listed; ``fault`` says why it cannot be used, and is raised when it is read.

    Attributes:
        image: file of the picture, or of the page that holds it.
        text: transcription as it is listed.
        place: where the transcription stands, for messages.
        region: where on the page it is; None for the whole picture.
        size: height and width in pixels where the listing tells.
    """

    key: str
    image: Path
    text: str = ""
    place: str = ""
    fault: DataError | None = None
    region: Any = None
    size: tuple[int, int] | None = None


class TextLines:
    """Reads listed lines. Faults of the listing are raised line by line, so that a check sees them all.

    Args:
        splits: lines of each split, with keys that differ within a split.
        split: which of them this is; a split that is not there is empty.
        rules: of the text.
        channels: 1 or 3.
        doubts: what the listing found strange without losing a line.
        read: (line, channels) to picture; by default the whole file.
        measure: line to height and width, without decoding the picture.

    Raises what ``TextRules.labels`` raises.
    """

    def __init__(
        self,
        splits: Mapping[str, Sequence[Line]],
        split: str,
        rules: TextRules,
        channels: int = 3,
        doubts: Iterable[Finding] = (),
        read: Callable[[Line, int], UInt8[Tensor, "c h w"]] | None = None,
        measure: Callable[[Line], tuple[int, int]] | None = None,
    ) -> None:
        self.rules, self.channels, self.training = rules, channels, split == "train"
        self._lines = [replace(line, text=rules.clean(line.text)) for line in splits.get(split, ())]
        training = (rules.clean(line.text) for line in splits.get("train", ()) if line.fault is None)
        self.charset = rules.labels(training)
        self.labels = {"text": self.charset}
        self._known = frozenset(self.charset.characters)
        self._doubts = (*doubts, *_shared(splits, split))
        self._read, self._measure = read or _whole_picture, measure or _whole_size

    def __len__(self) -> int:
        return len(self._lines)

    def key(self, index: int) -> str:
        """Stable id of a line."""
        return self._lines[index].key

    def text(self, index: int) -> str:
        """What is written in a line, without reading its picture."""
        return self._lines[index].text

    def size(self, index: int) -> tuple[int, int]:
        """Height and width of a line's picture, without decoding it. Raises DataError."""
        line = self._lines[index]
        if line.fault is not None:
            raise line.fault
        return self._measure(line) if line.size is None else line.size

    def __getitem__(self, index: int) -> Sample:
        """Reads one line: image uint8 c h w, valid bool h w, text. Raises DataError."""
        sample, errors = self.examine(index)
        if errors:
            raise errors[0]
        return sample

    def examine(self, index: int) -> tuple[Sample, list[DataError]]:
        """What can be read of a line, and every fault of it."""
        line = self._lines[index]
        sample: Sample = {"key": line.key, "path": str(line.image), "text": line.text}
        if line.fault is not None:
            return sample, [line.fault]
        errors = [self._unknown(line, unknown)] if self.training and (unknown := self._strange(line.text)) else []
        try:
            sample["image"] = self._read(line, self.channels)
            sample["valid"] = torch.ones(sample["image"].shape[1:], dtype=torch.bool)
        except DataError as error:
            errors.append(error)
        return sample, errors

    def problems(self) -> Iterator[Finding]:
        """What is strange without losing a line: of the listing and its splits, of characters, and of lengths."""
        yield from self._doubts
        if not self.training:
            yield from self._strange_characters()
        for index, line in enumerate(self._lines):
            if line.fault is None and not line.text:
                yield Finding(line.place or str(line.image), "D117", "has no text", _MEANT, "warning", line.key)
            elif line.fault is None and self.rules.columns_per_height is not None:
                yield from self._too_short(index, self.rules.columns_per_height)

    def _strange(self, text: str) -> list[str]:
        return sorted(set(text) - self._known)

    def _unknown(self, line: Line, unknown: Sequence[str]) -> DataError:
        what = f"its text holds {', '.join(map(shown, unknown[:5]))}, which the charset lacks"
        fix = "add it to the charset, or map it with dataset.layout.text.replace"
        return DataError("D115", line.place or line.image, what, fix)

    def _strange_characters(self) -> Iterator[Finding]:
        """One doubt for each character that only evaluation has, with the first place of it."""
        first: dict[str, Line] = {}
        lines: Counter[str] = Counter()
        for line in self._lines:
            unknown = self._strange(line.text)
            lines.update(unknown)
            first.update({character: line for character in unknown if character not in first})
        for character, line in sorted(first.items()):
            count = lines[character]
            what = f"{shown(character)} is not in the charset and counts as an error (lines that have it: {count})"
            fix = "list it in dataset.layout.text.characters, or map it with dataset.layout.text.replace"
            yield Finding(line.place or str(line.image), "D116", what, fix, "warning", line.key)

    def _too_short(self, index: int, columns_per_height: float) -> Iterator[Finding]:
        line = self._lines[index]
        try:
            height, width = self.size(index)
        except DataError:
            return  # reading the line tells what is wrong
        have, need = int(width / height * columns_per_height), frames_needed(line.text)
        if need > have:
            what = f"{len(line.text)} characters need {need} columns for CTC, {width} x {height} pixels give {have}"
            fix = "use a smaller stride along the line, or take it out"
            yield Finding(line.place or str(line.image), "D118", what, fix, "warning", line.key)


def once(lines: Iterable[Line]) -> list[Line]:
    """Lines whose keys differ: one whose key comes again becomes a fault (D122), which names both places."""
    found: dict[str, Line] = {}
    for line in lines:
        before = found.get(line.key)
        if before is None:
            found[line.key] = line
        elif before.fault is None:
            found[line.key] = replace(before, fault=_of_one_key(before, line))
    return list(found.values())


def _of_one_key(first: Line, second: Line) -> DataError:
    places = f"({first.place or first.image} and {second.place or second.image})"
    if first.image == second.image:
        return DataError("D122", first.image, f"{first.key} is listed twice {places}", "remove one of them")
    but_ending = first.image.with_suffix("") == second.image.with_suffix("")
    same = "the same name but for the ending" if but_ending else f"the same key {first.key}"
    what = f"{first.image.name} and {second.image.name} have {same} {places}"
    return DataError("D122", first.image, what, "rename one of them")


def _shared(splits: Mapping[str, Sequence[Line]], split: str) -> Iterator[Finding]:
    """A doubt where usable lines of a split are in others too: what was learnt by heart would count as read."""
    own = {line.key: line for line in splits.get(split, ()) if line.fault is None}
    others = {
        name: [line.key for line in lines if line.fault is None and _same(own.get(line.key), line)]
        for name, lines in splits.items()
        if name != split
    }
    if any(others.values()):
        counts = ", ".join(f"{len(keys)} in {name}" for name, keys in others.items() if keys)
        first = own[next(key for keys in others.values() for key in keys)]
        what = f"lines of the split {split} are in other splits too: {counts} (the first is {first.key})"
        fix = "take them off one of the lists, or see that this is meant"
        yield Finding(first.place or str(first.image), "D148", what, fix, "warning")


def _same(line: Line | None, other: Line) -> bool:
    """Whether it is the same part of the same picture: other folders may hold other pictures of equal names."""
    return line is not None and line.image == other.image


def _whole_picture(line: Line, channels: int) -> UInt8[Tensor, "c h w"]:
    return read_image(line.image, channels)


def _whole_size(line: Line) -> tuple[int, int]:
    return picture_size(line.image)
