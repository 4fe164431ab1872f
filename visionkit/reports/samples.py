"""A few pictures of an evaluation as files, so that a new model has something to be tried on at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from PIL import Image

from visionkit.drawing import to_uint8_rgb
from visionkit.files import replaced_file
from visionkit.types import Dataset


class Source(Protocol):
    """What the datamodule gives of one source."""

    dataset: Dataset


def write_samples(sources: Mapping[str, Source], folder: Path, count: int = 1) -> Path | None:
    """Writes the first pictures of each source as ``<folder>/<source>_<number>.png``; None for volumes.

    Args:
        sources: by name.
        folder: is made where it is missing.
        count: pictures of each source.
    """
    for name, source in sources.items():
        for index in range(min(count, len(source.dataset))):
            image = source.dataset[index]["image"]
            if image.ndim != 3:
                return None
            with replaced_file(folder / f"{name}_{index}.png") as new:
                Image.fromarray(to_uint8_rgb(image)).save(new)
    return folder
