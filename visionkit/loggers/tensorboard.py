"""TensorBoard, for those who prefer it: Lightning's own logger with our folder layout."""

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from visionkit.errors import ResourceError


def tensorboard_logger(folder: Path | str, **options: Any) -> TensorBoardLogger:
    """Writes events to ``<folder>/tensorboard``; ``tensorboard --logdir <folder>`` shows them.

    Raises:
        ResourceError: R13 when the package tensorboard is not installed.
    """
    try:
        import tensorboard  # noqa: F401  Lightning would otherwise fall back to tensorboardX, or to a traceback
    except ImportError as error:
        fix = "pip install 'visionkit[tensorboard]', or use logger=wandb or logger=local"
        raise ResourceError("R13", "", "the package tensorboard is not installed", fix) from error
    return TensorBoardLogger(str(folder), name="tensorboard", version="", default_hp_metric=False, **options)
