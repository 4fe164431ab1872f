"""Pictures of predictions, drawn in every validation and shown by every logger that can."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image

from visionkit.datasets.unbatch import prediction_of, sample_of
from visionkit.loggers.pictures import log_picture
from visionkit.network import explained

Picture = UInt8[np.ndarray, "h w 3"]
_GAP_PX = 8


class PredictionPictures(Callback):
    """Draws the first samples of every task in a validation, the same ones each time, as one contact sheet.

    Written to ``<run>/pictures/<task>/epoch_0003_step_000400.png`` and logged as ``val/<task>/predictions``.
    Needs a ``validation_step`` that returns ``dict[task, Prediction]``.

    Args:
        count: samples of each task; 0 draws nothing.
        every_n_epochs: draws after the n-th, 2n-th ... epoch.
        max_width_px: a wider drawing is made smaller.
    """

    def __init__(self, count: int = 4, every_n_epochs: int = 1, max_width_px: int = 1600) -> None:
        self.count, self.every_n_epochs, self.max_width_px = count, every_n_epochs, max_width_px
        self._drawn: dict[str, list[Picture]] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begins anew."""
        self._drawn = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draws until every task has its number of samples."""
        if not isinstance(outputs, Mapping) or not self._wanted(trainer):
            return
        network: Any = pl_module.network
        for name, prediction in outputs.items():
            drawn, task = self._drawn.setdefault(name, []), network.tasks[name]
            for index in range(min(self.count - len(drawn), len(batch["image"]))):
                sample = sample_of(batch, index)
                own = explained(network, name, sample, prediction_of(prediction, batch, index))
                drawn.append(task.draw(sample, own))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves and logs one sheet for each task."""
        for name, drawn in self._drawn.items():
            if not drawn:
                continue
            sheet = contact_sheet(drawn, self.max_width_px)
            file = f"epoch_{trainer.current_epoch:04d}_step_{trainer.global_step:06d}.png"
            path = Path(trainer.default_root_dir) / "pictures" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sheet).save(path)
            log_picture(trainer.loggers, f"val/{name}/predictions", sheet, trainer.global_step)
        self._drawn = {}

    def _wanted(self, trainer: Trainer) -> bool:
        due = trainer.state.fn != "fit" or (trainer.current_epoch + 1) % self.every_n_epochs == 0
        return due and trainer.is_global_zero and not trainer.sanity_checking


def contact_sheet(pictures: list[Picture], max_width_px: int) -> Picture:
    """One column of pictures on white, each at most ``max_width_px`` wide."""
    pictures = [_shrunk(picture, max_width_px) for picture in pictures]
    height = sum(len(picture) for picture in pictures) + _GAP_PX * (len(pictures) - 1)
    sheet = np.full((height, max(picture.shape[1] for picture in pictures), 3), 255, np.uint8)
    top = 0
    for picture in pictures:
        sheet[top : top + len(picture), : picture.shape[1]] = picture
        top += len(picture) + _GAP_PX
    return sheet


def _shrunk(picture: Picture, max_width_px: int) -> Picture:
    height, width = picture.shape[:2]
    if width <= max_width_px:
        return picture
    size = (max_width_px, max(1, round(height * max_width_px / width)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
