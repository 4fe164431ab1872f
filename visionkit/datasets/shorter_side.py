"""Pictures of any proportions, brought within bounds of their shorter side."""

from collections.abc import Sequence

import numpy as np

from visionkit.datasets.transforms import Resize
from visionkit.errors import ConfigError
from visionkit.types import Sample

_LONGEST = 2**13
"""No longer side is enlarged beyond it, so that a thin strip cannot ask for all memory."""


class ShorterSide:
    """Keeps the shorter side within bounds, and the proportions as they are; nothing is random.

    Targets move along as in ``Resize``. A picture within the bounds is returned as it is.

    Args:
        least: pictures whose shorter side has fewer pixels are enlarged to it; None enlarges none.
        most: pictures whose shorter side has more are shrunk to it; None shrinks none.

    Raises ConfigError C187 for bounds that are none.
    """

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        for name, value in (("least", least), ("most", most)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                place = f"dataset.prepare, {name}={value}"
                raise ConfigError("C187", place, "is not possible", "set it to a whole number of pixels, or null")
        if least is not None and most is not None and least > most:
            place = f"dataset.prepare, least={least}"
            raise ConfigError("C187", place, f"is above most={most}", "set least below most, or one of them to null")
        self.least, self.most = least, most

    def resized(self, size: Sequence[int]) -> tuple[int, int]:
        """Height and width of the result."""
        factor = self._factor(min(size), max(size))
        height, width = (max(1, round(length * factor)) for length in size)
        return height, width

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c h w to c *resized; ``rng`` is not used."""
        return Resize(self.resized(sample["image"].shape[1:]))(sample, rng)

    def _factor(self, shorter: int, longer: int) -> float:
        if self.most is not None and shorter > self.most:
            return self.most / shorter
        if self.least is not None and shorter < self.least:
            return max(1.0, min(self.least / shorter, _LONGEST / longer))
        return 1.0
