"""Predictor: a bundle and pictures in, predictions and pictures of them out."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from visionkit.bundle import folder as bundle
from visionkit.datasets.collate import collate
from visionkit.datasets.transforms import Resize
from visionkit.drawing import side_by_side
from visionkit.errors import ConfigError, VisionkitError, nearest
from visionkit.files import replaced_file
from visionkit.network import Network
from visionkit.prediction.outputs import KINDS, write_picture
from visionkit.prediction.pictures import Picture, pictures
from visionkit.types import Prediction, Sample, Task


@dataclass(frozen=True)
class Result:
    """What every task says of one picture, at the picture's own size, on the CPU."""

    key: str
    path: str
    """The picture's file; empty where it came from memory."""
    predictions: dict[str, Prediction]
    image: UInt8[Tensor, "c h w"]
    tasks: dict[str, Task]

    def draw(self, task: str | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """The picture with one task's prediction, or with those of all tasks side by side."""
        names = list(self.predictions) if task is None else [task]
        sample: Sample = {"key": self.key, "path": self.path, "image": self.image}
        drawn = {name: self.tasks[name].draw(sample, self.predictions[name]) for name in names}
        return drawn[names[0]] if len(names) == 1 else side_by_side(drawn)

    def save(self, folder: str | Path) -> dict[str, Any]:
        """Writes ``<task>/<kind of value>/<key>.png`` and ``<task>/overlay/<key>.png``; returns the line as JSON.

        File names in the line are relative to ``folder``.
        """
        folder = Path(folder)
        tasks = {}
        for task, prediction in self.predictions.items():
            overlay = write_picture(Image.fromarray(self.draw(task)), folder, f"{task}/overlay/{self.key}")
            tasks[task] = {"overlay": overlay}
            for kind, value in prediction.items():
                labels, name = self.tasks[task].labels, f"{task}/{kind}/{self.key}"
                tasks[task] |= KINDS[kind].write(value, labels, folder, name)  # type: ignore[arg-type]
        return {"key": self.key, "path": self.path, "size": list(self.image.shape[1:]), "tasks": tasks}


def save_all(results: Iterable[Result], folder: str | Path) -> int:
    """Saves results as they come, and ``predictions.jsonl`` with one line for each; returns their number."""
    count = 0
    with replaced_file(Path(folder) / "predictions.jsonl") as new, new.open("w", encoding="utf-8") as stream:
        for result in results:
            count += 1
            stream.write(json.dumps(result.save(folder), ensure_ascii=False) + "\n")
    return count


class Predictor:
    """A trained network with the preprocessing that it was evaluated with."""

    def __init__(self, network: Network, info: bundle.Info, device: str | torch.device | None = None) -> None:
        self.device = _device(device)
        # The format in which it was trained, because the bits of a convolution depend on it.
        last = info.preprocessing.get("channels_last", True)
        self.memory_format = torch.channels_last if last else torch.contiguous_format
        self.network = network.to(self.device).eval()
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.info = info

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
            batch_size: pictures of one size in a row that are computed together. 1 gives exactly the bits of an
                evaluation; more is faster on a GPU.
            tasks: names of the tasks to run; all by default.
            errors: where the error of a picture that cannot be read is put, and the others go on; without it
                the first such error is raised.

        Raises DataError for pictures, ConfigError C70 for a task that the bundle lacks.
        """
        names = _chosen(tasks, list(self.network.named_tasks))
        found = pictures(images, self.info.preprocessing["channels"])
        samples = self._read(found, errors)
        for _, alike in groupby(samples, key=lambda pair: pair[1]["image"].shape):
            while chunk := list(islice(alike, max(1, batch_size))):
                yield from self._run(chunk, names)

    def _read(self, found: Iterable[Picture], errors: list[VisionkitError] | None) -> Iterator[tuple[Tensor, Sample]]:
        """The picture as it is, and the sample that the network is given."""
        size = self.info.preprocessing["size"]
        for picture in found:
            try:
                image = picture.read()
            except VisionkitError as error:
                fitting = _without_dataset(error)
                if errors is None:
                    raise fitting from error
                errors.append(fitting)
                continue
            sample: Sample = {"key": picture.key, "path": picture.path, "image": image}
            yield image, Resize(size)(sample, np.random.default_rng(0)) if size else sample

    def _run(self, chunk: Sequence[tuple[Tensor, Sample]], names: Collection[str]) -> Iterator[Result]:
        batch = collate([sample for _, sample in chunk])
        batch["image"] = batch["image"].to(self.device, memory_format=self.memory_format)
        batch["valid"] = batch["valid"].to(self.device)
        with torch.inference_mode():
            predicted = self.network.predict(batch, names)
        for row, (image, sample) in enumerate(chunk):
            own = {name: _unbatched(values, row, sample["image"], image) for name, values in predicted.items()}
            tasks = {name: self.network.tasks[name] for name in names}
            yield Result(sample["key"], sample["path"], own, image, tasks)  # type: ignore[arg-type]


def _unbatched(prediction: Prediction, row: int, seen: Tensor, image: Tensor) -> Prediction:
    values = {}
    for kind, value in prediction.items():
        one = value[row].cpu().clone()  # type: ignore[index]  # an ordinary tensor that does not keep its batch alive
        values[kind] = one if seen.shape == image.shape else KINDS[kind].restore(one, image.shape[1:])
    return values  # type: ignore[return-value]


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
