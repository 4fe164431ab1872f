"""Which of a line's two tones is the ink."""

import cv2
import numpy as np

from visionkit.types import Sample


class DarkInk:
    """Inverts a picture whose ground is darker than its writing, so that a reader learns one polarity instead of two.

    Otsu's threshold (1979) parts dark from bright; the ground is what more of the picture's border shows. A picture of
    one tone stays as it is, and nothing is random.
    """

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Image c h w of whole numbers 0..255; ``rng`` is not used."""
        image = sample["image"]
        grey = image.float().mean(0).round().byte().numpy()
        if grey.min() == grey.max():
            return sample
        threshold, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
        dark_ground = np.count_nonzero(border <= threshold) * 2 > border.size
        return {**sample, "image": 255 - image} if dark_ground else sample
