"""Contrast of written lines brought to one scale."""

import numpy as np
import torch

from visionkit.errors import ConfigError
from visionkit.types import Sample


class PaperToWhite:
    """Stretches a line's values so that its paper is white and its ink black, also where ink was lighter than paper.

    Paper is the median of the pixels' mean over the channels. Ink is darker or brighter, whichever differs more in the
    sum of squares; its tone is the percentile ``share`` or 100 - ``share``. A line with less contrast than ``least``
    stays as it is: of noise nothing is to be read.

    Args:
        share: of the pixels that are certainly ink, in percent.
        least: difference between paper and ink, of 255.

    Raises ConfigError C187 for values that are none.
    """

    def __init__(self, share: float = 1.0, least: float = 24.0) -> None:
        if not (0 <= share < 50 and least > 0):
            what = f"share {share} and least {least} are no measures of contrast"
            raise ConfigError("C187", "dataset.prepare", what, "write share: 1.0 (percent) and least: 24.0 (of 255)")
        self.share, self.least = share, least

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c h w of 0..255; ``rng`` is not used."""
        image = sample["image"].float()
        grey = image.mean(0).numpy()
        low, paper, high = np.percentile(grey, (self.share, 50, 100 - self.share))
        darker = paper - grey
        ink = low if (darker * abs(darker)).sum() >= 0 else high
        if abs(paper - ink) < self.least:
            return sample
        stretched = (255 * (image - ink) / (paper - ink)).clamp(0, 255).round().to(torch.uint8)
        return {**sample, "image": stretched}
