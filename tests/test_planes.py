import numpy as np
import pytest
import torch

from visionkit.planes import PLANES, largest


def volume() -> np.ndarray:
    """Values that tell where a voxel is: 100 d + 10 h + w."""
    d, h, w = np.indices((4, 5, 6))
    return 100 * d + 10 * h + w


@pytest.mark.parametrize(
    ("number", "name", "above_left", "below_right"),
    [
        # Above: to the front, or the top. On the left: the patient's right, or the front.
        (0, "axial", (1, 4, 5), (1, 0, 0)),
        (1, "coronal", (3, 1, 5), (0, 1, 0)),
        (2, "sagittal", (3, 4, 1), (0, 0, 1)),
    ],
)
def test_planes_are_shown_as_radiologists_do(number, name, above_left, below_right) -> None:
    plane = PLANES[number]
    cut = plane.cut(volume(), 1, (1.0, 1.0, 1.0))
    assert plane.name == name
    assert cut[0, 0] == volume()[above_left]
    assert cut[-1, -1] == volume()[below_right]
    image = torch.from_numpy(np.stack([volume(), -volume()])).float()
    shown = plane.cut_image(image, 1, (1.0, 1.0, 1.0))
    assert np.array_equal(shown[0].numpy(), cut)
    assert np.array_equal(shown[1].numpy(), -cut)


def test_pixels_are_square() -> None:
    axial, coronal, sagittal = (plane.cut(volume(), 1, (3.0, 1.0, 0.5)) for plane in PLANES)
    assert axial.shape == (10, 6)  # 5 mm by 3 mm in pixels of 0.5 mm
    assert coronal.shape == (24, 6)
    assert sagittal.shape == (12, 5)
    assert np.array_equal(np.unique(axial), np.unique(volume()[1]))


def test_largest_cross_section() -> None:
    foreground = np.zeros((4, 5, 6), bool)
    foreground[1:3, 2, 1:6] = foreground[3, 0, 0] = True
    foreground[2, 3, 4] = True
    assert largest(foreground) == (2, 2, 4)
    assert largest(np.zeros((4, 5, 6), bool)) == (2, 2, 3)
