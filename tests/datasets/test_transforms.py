"""Resizing and augmentation: alignment, padding, determinism in every worker, and clear mistakes."""

import copy
import itertools
import math
import pickle
import warnings
from fractions import Fraction

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from visionkit.datasets.collate import collate
from visionkit.datasets.transforms import Augment, Resize
from visionkit.errors import ConfigError, DataError
from visionkit.seeding import generator


def sample(height=40, width=60, classes=7, channels=3, seed=0):
    """A sample whose image shows its mask: the image is 10 * (mask + 2), where the mask is in blocks."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(-1, classes, (height // 5 + 1, width // 5 + 1))
    mask = torch.from_numpy(np.kron(blocks, np.ones((5, 5), np.int64))[:height, :width].copy())
    image = ((mask + 2) * 10).to(torch.uint8)[None].repeat(channels, 1, 1)
    valid = torch.ones(height, width, dtype=torch.bool)
    return {"key": f"k{seed}", "path": f"k{seed}.png", "image": image, "mask": mask, "valid": valid}


def rng(seed=0):
    return np.random.default_rng(seed)


NEAREST, BY_CENTRES = {"interpolation": cv2.INTER_NEAREST}, {"interpolation": cv2.INTER_NEAREST_EXACT}
GEOMETRY = [
    A.HorizontalFlip(p=1),
    A.D4(p=1),
    A.RandomScale(scale_limit=(-0.5, 1.0), p=1, **BY_CENTRES),
    A.RandomCrop(height=30, width=30),
    A.RandomCrop(height=64, width=96, pad_if_needed=True, pad_position="random"),
    A.PadIfNeeded(50, 50, fill_mask=3),
    A.PadIfNeeded(80, 90, border_mode=cv2.BORDER_REFLECT_101),
    A.Affine(rotate=(-40, 40), scale=(0.5, 1.5), fill_mask=5, p=1, **NEAREST),
    A.Rotate(limit=90, p=1, **NEAREST),
    A.SafeRotate(p=1, **NEAREST),
    A.Perspective(p=1, **NEAREST),
    A.CropAndPad(percent=(-0.2, 0.2), p=1, keep_size=False, **NEAREST),
    A.RandomSizedCrop(min_max_height=(20, 40), size=(32, 32), **BY_CENTRES),
    A.OneOf([A.Transpose(p=1), A.Sequential([A.VerticalFlip(p=1), A.RandomCrop(20, 20)], p=1)], p=1),
    A.GridDistortion(p=1, **NEAREST),
    A.ElasticTransform(p=1, **NEAREST),
    A.CoarseDropout(p=1, fill=0, fill_mask=4),
]


@pytest.mark.parametrize("transform", GEOMETRY, ids=lambda t: type(t).__name__)
def test_image_mask_and_valid_stay_together(transform):
    augment, given = Augment([transform]), sample()
    padded = 0
    for seed in range(8):
        result = augment(given, rng(seed))
        assert result["image"].dtype == torch.uint8
        assert result["mask"].dtype == torch.int64
        assert result["valid"].dtype == torch.bool
        expected = torch.where(result["valid"], (result["mask"] + 2) * 10, 0)
        assert torch.equal(result["image"], expected.to(torch.uint8)[None].repeat(3, 1, 1))
        assert (result["mask"][~result["valid"]] == -1).all()
        padded += int((~result["valid"]).sum())
    if type(transform) in (A.Affine, A.Rotate, A.PadIfNeeded, A.CoarseDropout) and not getattr(
        transform, "border_mode", 0
    ):
        assert padded > 0


@pytest.mark.parametrize("annotators", [1, 4, 9])
@pytest.mark.parametrize("transform", GEOMETRY, ids=lambda t: type(t).__name__)
def test_every_annotators_edges_stay_with_the_mask(transform, annotators):
    given = sample(classes=3)
    # Annotator k draws class k % 3.
    drawn = [torch.where(given["mask"] < 0, -1, given["mask"] == k % 3) for k in range(annotators)]
    given["edges"] = torch.stack(drawn).to(torch.int8)
    for seed in range(4):
        result = Augment([transform])(given, rng(seed))
        assert result["edges"].dtype == torch.int8
        for k, edges in enumerate(result["edges"]):
            assert torch.equal(edges, torch.where(result["mask"] < 0, -1, result["mask"] == k % 3).to(torch.int8))


@pytest.mark.parametrize("scale", [0.7, 0.85, 1.15, 1.45])
def test_masks_lie_where_their_resized_pictures_lie(scale: float) -> None:
    transform = A.RandomScale((scale - 1, scale - 1), p=1, area_for_downscale="image")
    augment = Augment({"some": A.OneOf([A.Sequential([transform], p=1)], p=1)})
    apart = []
    for begin in range(60, 140):  # each edge is rounded to a pixel; the rounding is even over many
        edge = (torch.arange(200) >= begin).expand(40, 200)
        given = {"key": "a", "image": (255 * edge).to(torch.uint8).expand(3, 40, 200), "mask": edge.long()}
        result = augment(given, rng())
        of_image, of_mask = ((1 - plane.double()).sum(1).mean() for plane in (result["image"][0] / 255, result["mask"]))
        apart.append(float(of_mask - of_image))
    assert abs(np.mean(apart)) < 0.1  # half a pixel with OpenCV's other nearest


def test_padding_from_a_crop_larger_than_the_picture():
    result = Augment([A.RandomCrop(height=48, width=80, pad_if_needed=True, pad_position="top_left")])(sample(), rng())
    assert result["image"].shape == (3, 48, 80)
    assert int(result["valid"].sum()) == 40 * 60
    assert (result["mask"] == -1)[~result["valid"]].all()
    assert (result["image"][:, ~result["valid"]] == 0).all()


def test_invalid_pixels_stay_invalid():
    given = sample()
    given["valid"][:, 30:] = False
    result = Augment([A.HorizontalFlip(p=1)])(given, rng())
    assert not result["valid"][:, :30].any()
    assert result["valid"][:, 30:].all()


def test_masks_are_exact_for_any_number_of_classes_and_interpolation():
    for classes in (2, 253, 254, 300, 70000):
        given = sample(classes=classes)
        given["mask"][0, 0] = classes - 1
        values = {-1, *given["mask"].unique().tolist()}
        linear = A.Affine(rotate=30, p=1, mask_interpolation=cv2.INTER_CUBIC)
        area = A.RandomScale(scale_limit=(-0.4, -0.4), p=1, area_for_downscale="image_mask")
        for transform in (linear, area):
            assert set(Augment([transform])(given, rng())["mask"].unique().tolist()) <= values
        assert torch.equal(Augment([A.HorizontalFlip(p=1)])(given, rng())["mask"], given["mask"].flip(1))


def test_sample_without_mask_or_valid():
    given = {"key": "a", "image": sample()["image"]}
    result = Augment([A.PadIfNeeded(50, 60, position="top_left")])(given, rng())
    assert "mask" not in result
    assert result["valid"][:40].all()
    assert not result["valid"][40:].any()
    assert result["key"] == "a"


PIXELS = [
    A.ColorJitter(p=1),
    A.RandomBrightnessContrast(p=1),
    A.HueSaturationValue(p=1),
    A.GaussNoise(p=1),
    A.GaussianBlur(p=1),
    A.RandomGamma(p=1),
    A.ImageCompression(p=1),
    A.AdditiveNoise(p=1),
    A.CLAHE(p=1),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("transform", PIXELS, ids=lambda t: type(t).__name__)
def test_pixel_transforms_leave_mask_and_valid(transform, channels):
    given = sample(channels=channels)
    given["image"] = torch.from_numpy(rng().integers(0, 256, (channels, 40, 60), dtype=np.uint8))
    before = copy.deepcopy(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = Augment([transform])(given, rng())
    assert result["image"].shape == given["image"].shape
    assert torch.equal(result["mask"], given["mask"])
    assert torch.equal(result["valid"], given["valid"])
    assert all(torch.equal(given[key], before[key]) for key in ("image", "mask", "valid"))


@pytest.mark.parametrize("transform", [*GEOMETRY, *PIXELS], ids=lambda t: type(t).__name__)
def test_all_randomness_is_in_the_generator(transform):
    given = sample()
    first, second = Augment([transform]), Augment({"name": transform})
    np.random.seed(3)
    for _ in range(3):
        second(given, rng(99))
    expected = [first(given, rng(seed)) for seed in range(4)]
    cv2.setRNGSeed(77)
    for seed in (3, 1, 0, 2):
        result = pickle.loads(pickle.dumps(second))(given, rng(seed))
        assert all(torch.equal(result[key], expected[seed][key]) for key in ("image", "mask", "valid"))


def test_randomness_is_there():
    augment = Augment([A.RandomCrop(20, 20), A.RandomBrightnessContrast(p=1)])
    results = [augment(sample(), rng(seed))["image"] for seed in range(6)]
    assert len({image.numpy().tobytes() for image in results}) == 6


class Examples:
    """Augmented samples whose randomness derives from their key, as in training."""

    def __init__(self):
        self.augment = Augment(
            {
                "scale": A.RandomScale(scale_limit=(-0.3, 0.5), p=1),
                "crop": A.RandomCrop(height=48, width=48, pad_if_needed=True, pad_position="random"),
                "either": A.OneOf([A.GaussNoise(p=1), A.ColorJitter(p=1), A.CoarseDropout(p=1)], p=0.9),
            }
        )

    def __len__(self):
        return 12

    def __getitem__(self, index):
        given = sample(seed=index)
        return self.augment(given, generator(5, "augment", 0, given["key"]))


def test_number_of_workers_changes_nothing():
    def batches(workers):
        loader = DataLoader(Examples(), batch_size=4, num_workers=workers, collate_fn=collate)
        return list(loader)

    alone, together = batches(0), batches(2)
    assert len(alone) == len(together) == 3
    for one, other in zip(alone, together, strict=True):
        assert one["key"] == other["key"]
        assert all(torch.equal(one[key], other[key]) for key in ("image", "mask", "valid"))


def test_crop_around_a_class_sees_the_classes():
    """Class 0 and unknown pixels are empty to CropNonEmptyMaskIfExists, as in an ordinary mask."""
    given = sample(60, 60)
    given["mask"][:] = 0
    given["mask"][:20] = -1
    given["mask"][50, 7] = 2
    given["mask"][3, 50] = 1
    for seed in range(20):
        crop = A.CropNonEmptyMaskIfExists(height=12, width=12, ignore_values=[1])
        assert (Augment([crop])(given, rng(seed))["mask"] == 2).any()
    found = {int(Augment([A.CropNonEmptyMaskIfExists(12, 12)])(given, rng(s))["mask"].max()) for s in range(20)}
    assert found == {1, 2}


def test_crop_larger_than_the_picture_names_the_option():
    augment = Augment({"flip": A.HorizontalFlip(), "cut": A.RandomCrop(height=400, width=400)})
    with pytest.raises(DataError) as caught:
        augment(sample(), rng())
    assert (caught.value.code, caught.value.place) == ("D30", "k0.png")
    assert "dataset.augment.cut fails" in caught.value.what
    assert "60 x 40" in caught.value.what
    assert "\n" not in str(caught.value)


def test_switched_off_and_empty():
    given = sample()
    for transforms in ({}, [], {"flip": None}):
        result = Augment(transforms)(given, rng())
        assert all(torch.equal(result[key], given[key]) for key in ("image", "mask", "valid"))


def test_mistakes_in_the_configuration():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = A.OneOf([A.PadIfNeeded(30, 30, fil=3)])
    with pytest.raises(ConfigError, match=r"C55.*augment\.pad.*fil"):
        Augment({"pad": wrong})
    with pytest.raises(ConfigError, match=r"C56.*MaskDropout"):
        Augment([A.MaskDropout()])
    with pytest.raises(ConfigError, match="C56"):
        Augment({"crop": "RandomCrop"})
    for transform in (A.Normalize(), A.ToFloat(), A.ToTensorV2()):
        with pytest.raises(ConfigError, match=r"C56.*Normalize"):
            Augment([transform])(sample(), rng())


def test_given_transforms_are_not_changed():
    crop = A.CropNonEmptyMaskIfExists(12, 12, ignore_values=[3])
    Augment([crop])
    assert crop.ignore_values == [3]


def test_resize_to_the_same_size_is_the_same_sample():
    given = sample()
    assert Resize((40, 60))(given, rng()) is given


def test_resize_shrinks_by_means_of_areas():
    given = sample()
    given["image"] = torch.from_numpy(rng().integers(0, 256, (3, 40, 60), dtype=np.uint8))
    result = Resize([10, 20])(given, rng())["image"]
    means = given["image"].double().reshape(3, 10, 4, 20, 3).mean((2, 4))
    assert (result - means).abs().max() <= 0.5 + 1e-6


def test_resize_grows_bilinearly():
    given = sample()
    given["image"] = torch.from_numpy(rng().integers(0, 256, (3, 40, 60), dtype=np.uint8))
    result = Resize((100, 90))(given, rng())["image"]
    reference = torch.nn.functional.interpolate(
        given["image"][None].double(), (100, 90), mode="bilinear", align_corners=False
    )[0]
    assert (result - reference).abs().max() <= 1


@pytest.mark.parametrize("size", [(13, 29), (80, 30), (1, 1), (41, 61), (120, 180)])
def test_resize_takes_the_nearest_centre_for_masks(size):
    given = sample()
    given["valid"][:, :20] = False
    result = Resize(size)(given, rng())
    for key in ("mask", "valid"):
        for row, column in itertools.product(range(0, size[0], 3), range(0, size[1], 3)):
            above = math.floor((row + Fraction(1, 2)) * Fraction(40, size[0]))
            left = math.floor((column + Fraction(1, 2)) * Fraction(60, size[1]))
            assert result[key][row, column] == given[key][above, left]
    assert result["image"].shape == (3, *size)
    assert result["mask"].dtype == torch.int64


def test_resize_of_grey_and_without_mask():
    result = Resize((7, 9))({"key": "a", "image": sample(channels=1)["image"]}, rng())
    assert result["image"].shape == (1, 7, 9)
    assert set(result) == {"key", "image"}
    with pytest.raises(ConfigError, match="C54"):
        Resize([0, 4])


def test_resize_keeps_lines_whole():
    given = sample(40, 60)
    given["edges"] = torch.zeros(2, 40, 60, dtype=torch.int8)
    given["edges"][0, 7] = 1
    given["edges"][1, :, 11] = 1
    small = Resize((10, 15))(given, rng())["edges"]
    assert small[0].nonzero().tolist() == [[1, column] for column in range(15)]
    assert small[1].nonzero().tolist() == [[row, 2] for row in range(10)]


PLACED = [transform for transform in GEOMETRY if not isinstance(transform, (A.GridDistortion, A.ElasticTransform))]


@pytest.mark.parametrize("transform", PLACED, ids=lambda t: type(t).__name__)
def test_points_stay_on_what_they_mark(transform):
    rng_of_places = np.random.default_rng(3)
    places = rng_of_places.integers(8, [52, 32], (4, 2)) + 0.5
    y, x = np.mgrid[:40, :60] + 0.5
    for place in places:
        spot = np.exp(-0.5 * ((x - place[0]) ** 2 + (y - place[1]) ** 2) / 1.5**2)
        given = {"key": "a", "image": torch.from_numpy((spot * 255).astype(np.uint8))[None]}
        given["points"] = torch.from_numpy(place[None].astype(np.float32))
        for seed in range(4):
            result = Augment([transform])(given, rng(seed))
            found = result["image"][0].double()
            if len(result["points"]) != 1 or found.sum() < 0.5 * given["image"].sum():
                continue  # the spot, or a part of it, left the picture, or is mirrored in it
            rows, columns = torch.meshgrid(*(torch.arange(n) + 0.5 for n in found.shape), indexing="ij")
            middle = [(found * axis).sum() / found.sum() for axis in (columns, rows)]
            assert np.hypot(*(result["points"][0] - torch.tensor(middle)).tolist()) < 1.5


def test_points_are_exact_where_pixels_move_as_a_whole_and_dropped_where_they_leave():
    given = sample()
    given["points"] = torch.tensor([[0.0, 0.0], [60.0, 40.0], [12.25, 7.5], [-1.0, 5.0], [30.0, 41.0]])
    flipped = Augment([A.HorizontalFlip(p=1)])(given, rng())
    assert flipped["points"].tolist() == [[60.0, 0.0], [0.0, 40.0], [47.75, 7.5]]
    cropped = Augment([A.Crop(10, 5, 20, 15)])(given, rng())
    assert cropped["points"].tolist() == [[2.25, 2.5]]
    padded = Augment([A.PadIfNeeded(50, 80, position="bottom_right")])(given, rng())
    assert padded["points"].tolist() == [[20.0, 10.0], [80.0, 50.0], [32.25, 17.5]]
    given["points"] = torch.zeros(0, 2)
    assert Augment([A.D4(p=1)])(given, rng())["points"].shape == (0, 2)


def test_points_shrink_and_grow_with_the_picture():
    given = {**sample(), "points": torch.tensor([[0.0, 0.0], [60.0, 40.0], [15.0, 30.0]])}
    assert Resize([20, 120])(given, rng())["points"].tolist() == [[0.0, 0.0], [120.0, 20.0], [30.0, 15.0]]


def test_volumes_are_not_resized_as_pictures_are() -> None:
    with pytest.raises(ConfigError, match=r"C54.*size=\[8, 8\].*spacing_mm"):
        Resize((8, 8))({"key": "a", "image": torch.zeros(1, 4, 8, 8)}, rng())
