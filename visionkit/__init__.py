"""visionkit: one encoder, many tasks. ``visionkit.load("bundle").predict("picture.png")`` runs a trained model."""

from typing import Any


def load(path: Any, **options: Any) -> Any:
    """Predictor of a bundle; the options are those of ``Predictor.load``."""
    from visionkit.prediction.predictor import Predictor  # here, so that ``import visionkit`` stays instant

    return Predictor.load(path, **options)
