"""Predictor: a bundle and pictures or volumes in, predictions and pictures of them out."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped, UInt8
from PIL import Image
from torch import Tensor

from visionkit.bundle import folder as bundle
from visionkit.datasets.collate import collate
from visionkit.drawing import side_by_side
from visionkit.errors import ConfigError, VisionkitError, nearest
from visionkit.files import replaced_file
from visionkit.layers.channels_last import channels_last, channels_last_
from visionkit.network import Network
from visionkit.prediction.items import RESULTS, Item, Opened, Reader
from visionkit.prediction.outputs import KINDS, Kind, write_picture
from visionkit.prediction.pictures import Pictures
from visionkit.prediction.tables import TablePage
from visionkit.prediction.volumes import Volumes
from visionkit.types import Prediction, Sample, Task


@dataclass(frozen=True)
class Result:
    """What every task says of one picture, at the picture's own size, on the CPU."""

    key: str
    path: str
    """The picture's file; empty where it came from memory."""
    predictions: dict[str, Prediction]
    image: Shaped[Tensor, "c *space"]
    tasks: dict[str, Task]
    spacing_mm: Tensor | None = None
    """Of a volume's voxels along d, h, w."""
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)

    def draw(self, task: str | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """The picture with one task's prediction, or with those of all tasks side by side."""
        names = list(self.predictions) if task is None else [task]
        sample: Sample = {"key": self.key, "path": self.path, "image": self.image}
        if self.spacing_mm is not None:
            sample["spacing_mm"] = self.spacing_mm
        drawn = {name: self.tasks[name].draw(sample, self.predictions[name]) for name in names}
        return drawn[names[0]] if len(names) == 1 else side_by_side(drawn)

    def save(self, folder: str | Path) -> dict[str, Any]:
        """Writes ``<task>/<kind of value>/<key>.png`` and ``<task>/overlay/<key>.png``; returns the line as JSON.

        The mask of a volume is ``<task>/mask/<key>_mask.nii.gz``.

        File names in the line are relative to ``folder``.
        """
        folder = Path(folder)
        tasks = {}
        for task, prediction in self.predictions.items():
            overlay = write_picture(Image.fromarray(self.draw(task)), folder, f"{task}/overlay/{self.key}")
            tasks[task] = {"overlay": overlay}
            for kind, value in prediction.items():
                labels, name = self.tasks[task].labels, f"{task}/{kind}/{self.key}"
                tasks[task] |= self.kinds[kind].write(value, labels, folder, name)  # type: ignore[arg-type]
        return {"key": self.key, "path": self.path, "size": list(self.image.shape[1:]), "tasks": tasks}


def save_all(results: Iterable[Result], folder: str | Path) -> int:
    """Saves results as they come, and ``predictions.jsonl`` with one line for each; returns their number.

    Tables are shown side by side with their pictures in ``index.html``.
    """
    count, folder = 0, Path(folder)
    with (
        replaced_file(folder / RESULTS) as new,
        new.open("w", encoding="utf-8") as stream,
        TablePage(folder) as page,
    ):
        for result in results:
            count += 1
            stream.write(json.dumps(result.save(folder), ensure_ascii=False) + "\n")
            for task, prediction in result.predictions.items():
                page.add(result.key, result.image, task, prediction)
    return count


class Predictor:
    """A trained network with the preprocessing that it was evaluated with."""

    def __init__(self, network: Network, info: bundle.Info, device: str | torch.device | None = None) -> None:
        self.device = _device(device)
        # The format in which it was trained, because the bits of a convolution depend on it.
        self.channels_last = info.preprocessing.get("channels_last", True)
        self.network = network.to(self.device).eval()
        if self.channels_last:
            channels_last_(self.network)
        self.info = info
        self.reader: Reader = _READERS[info.preprocessing.get("spatial_dims", 2)](info.preprocessing)

    @classmethod
    def load(
        cls, path: str | Path, device: str | torch.device | None = None, allow: Collection[str] = ()
    ) -> "Predictor":
        """Predictor of a bundle, on the GPU where there is one; errors as ``bundle.load``, C71 for the device."""
        return cls(*bundle.load(path, allow), device=device)

    def predict(
        self,
        images: Any,
        batch_size: int = 1,
        tasks: Collection[str] | None = None,
        errors: list[VisionkitError] | None = None,
    ) -> list[Result]:
        """Results in the order of the pictures; arguments as of ``stream``."""
        return list(self.stream(images, batch_size, tasks, errors))

    def stream(
        self,
        images: Any,
        batch_size: int = 1,
        tasks: Collection[str] | None = None,
        errors: list[VisionkitError] | None = None,
    ) -> Iterator[Result]:
        """Results one after the other, so that a large folder needs little memory.

        Args:
            images: a file, a folder (with all folders in it), a PIL image, a ``uint8`` array (h, w, c), a tensor
                (c, h, w) or (b, c, h, w) of bytes or of floats in 0..1 (rounded to bytes), or a list of these.
                Of volumes: a NIfTI file, a folder of them, or numbers in the order (channels,) depth, height, width.
            batch_size: pictures of one size in a row that are computed together. 1 gives exactly the bits of an
                evaluation with ``trainer.precision=32-true``; more is faster on a GPU.
            tasks: names of the tasks to run; all by default.
            errors: where the error of a picture that cannot be read is put, and the others go on; without it
                the first such error is raised.

        Raises DataError for pictures, ConfigError C70 for a task that the bundle lacks.
        """
        names = _chosen(tasks, list(self.network.named_tasks))
        opened = self._open(self.reader.find(images), errors)
        for _, alike in groupby(opened, key=lambda pair: pair[1].given.shape):
            while chunk := list(islice(alike, max(1, batch_size))):
                yield from self._run(chunk, names)

    def _open(self, found: Iterable[Item], errors: list[VisionkitError] | None) -> Iterator[tuple[Item, Opened]]:
        for item in found:
            try:
                yield item, item.open()
            except VisionkitError as error:
                fitting = _without_dataset(error)
                if errors is None:
                    raise fitting from error
                errors.append(fitting)

    def _run(self, chunk: Sequence[tuple[Item, Opened]], names: Collection[str]) -> Iterator[Result]:
        batch = collate([Sample(key=item.key, path=item.path, image=opened.given) for item, opened in chunk])
        image = batch["image"].to(self.device)
        batch["image"] = channels_last(image) if self.channels_last else image
        batch["valid"] = batch["valid"].to(self.device)
        with torch.inference_mode():
            predicted = self.network.predict(batch, names)
        tasks = {name: self.network.named_tasks[name] for name in names}
        for row, (item, opened) in enumerate(chunk):
            own = {name: _unbatched(values, row, opened) for name, values in predicted.items()}
            yield Result(item.key, item.path, own, opened.image, tasks, opened.spacing_mm, opened.kinds)


_READERS: dict[int, Callable[[Mapping[str, Any]], Reader]] = {2: Pictures, 3: Volumes}
"""What reads the inputs, by the number of spatial dimensions."""


def _unbatched(prediction: Prediction, row: int, opened: Opened) -> Prediction:
    values, size = {}, opened.image.shape[1:]
    for kind, value in prediction.items():
        one = value[row].cpu().clone()  # type: ignore[index]  # an ordinary tensor that does not keep its batch alive
        values[kind] = one if opened.given.shape[1:] == size else _restored(opened.kinds[kind], one, opened)
    return values  # type: ignore[return-value]


def _restored(kind: Kind, value: Tensor, opened: Opened) -> Tensor:
    size = opened.image.shape[1:]
    return kind.move(value, opened.given.shape[1:], size) if kind.move else kind.restore(value, size)


def _without_dataset(error: VisionkitError) -> VisionkitError:
    """The same error with a way out that exists where there is no dataset to train on."""
    fix = "replace or remove it" if "dataset" in error.fix else error.fix
    return type(error)(error.code, error.place, error.what, fix)


def _chosen(tasks: Collection[str] | None, known: Collection[str]) -> list[str]:
    for name in tasks or ():
        if name not in known:
            raise ConfigError("C70", name, "the bundle has no such task", nearest(name, known))
    return list(known) if tasks is None else list(tasks)


def _device(name: str | torch.device | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError("C71", str(name), "there is no such device here", "give --device cpu, or none") from error
    return device
