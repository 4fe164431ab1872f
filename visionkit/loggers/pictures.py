"""Hands a picture to every logger that can show one."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8
from lightning.pytorch.loggers import Logger


def log_picture(loggers: Iterable[Logger], name: str, picture: UInt8[np.ndarray, "h w 3"], step: int) -> None:
    """Shows ``picture`` under ``name``: by ``log_image`` (W&B and its like) or ``add_image`` (TensorBoard)."""
    for logger in loggers:
        log_image = getattr(logger, "log_image", None)
        if log_image is not None:
            log_image(key=name, images=[picture], step=step)
            continue
        add_image = getattr(getattr(logger, "experiment", None), "add_image", None)
        if add_image is not None:
            add_image(name, picture, global_step=step, dataformats="HWC")
