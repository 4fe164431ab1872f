"""The map of Canny's edges against OpenCV's own binary result, and on pictures without edges."""

import cv2
import numpy as np
import pytest
import torch

from visionkit.baselines.canny import Canny


def picture(height=60, width=80, seed=0):
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 60, np.uint8)
    for grey in rng.integers(0, 256, 6).tolist():
        center = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(image, center, int(rng.integers(5, 20)), grey, -1)
    return torch.from_numpy(image)[None]


@pytest.mark.parametrize("level", [1, 10, 35, 60, 90])
def test_cut_at_a_threshold_it_is_opencvs_result(level):
    image = picture()
    smooth = cv2.GaussianBlur(image[0].numpy().astype(np.float64), (0, 0), 2.0, borderType=cv2.BORDER_REPLICATE)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_64F, *axis, borderType=cv2.BORDER_REPLICATE) for axis in ((1, 0), (0, 1)))
    # Sobel of a ramp of one grey value a pixel is 8; slopes are passed on in eighths of a grey value.
    upper = 50 * (level / 100) ** 2 * 64
    expected = cv2.Canny(*(np.round(d * 8).astype(np.int16) for d in (dx, dy)), 0.4 * upper, upper, L2gradient=True)
    found = ((Canny(2.0, 50.0, 0.4)(image) * 255).round() / 255 >= level / 100).numpy()
    assert (found != (expected > 0)).mean() < 1e-3
    assert level > 60 or found.any()


def test_a_step_is_one_line_at_its_place():
    image = torch.zeros(3, 30, 40, dtype=torch.uint8)
    image[:, :, 20:] = 200
    edges = Canny(2.0, 50.0, 0.4)(image)
    # 200 grey values under a Gaussian of deviation 2 rise by at most 200 / (2 sqrt(2 pi)) = 39.9 a pixel.
    rows = edges[5:25]
    assert ((rows > 0).sum(1) == 1).all()
    assert set(rows.nonzero()[:, 1].tolist()) <= {19, 20}
    assert rows.max() == pytest.approx((38 / 50) ** 0.5, abs=0.03)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 2), (7, 9)])
def test_nothing_where_nothing_changes(size):
    edges = Canny()(torch.full((3, *size), 77, dtype=torch.uint8))
    assert edges.shape == size
    assert (edges == 0).all()
