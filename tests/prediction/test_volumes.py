"""Volumes of every kind give what the network gives, on the file's own grid, and are written where they belong."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

import visionkit
from visionkit.assemble import make_network
from visionkit.bundle import folder as bundle
from visionkit.config import compose
from visionkit.datasets.intensity import ZScore
from visionkit.datasets.nifti import read_labels, read_volume
from visionkit.datasets.volume_pairs import Grid
from visionkit.errors import DataError, UnsafeFileError
from visionkit.labels import Classes
from visionkit.network import Network
from visionkit.prediction.predictor import Predictor, save_all

LABELS = {"mask": Classes(("background", "front", "back"), ((0, 0, 0), (250, 10, 10), (10, 10, 250)))}
ZSCORE = {"_target_": "visionkit.datasets.intensity.ZScore"}
SHAPE, AFFINE = (9, 12, 7), np.array([[0, 0, 2.0, 5], [-1.5, 0, 0, 7], [0, 0.8, 0, -3], [0, 0, 0, 1]])


def network_of(channels: int = 1) -> tuple[Any, Network]:
    words = ["encoder=unet3d", "task=segmentation/volume_unet", f"dataset.channels={channels}"]
    cfg = compose(
        "train",
        [
            *words,
            "encoder.channels=[4,6,8]",
            "encoder.steps=[1,2,2]",
            "tasks.segmentation.decoder.widths=[4]",
            "tasks.segmentation.deep_supervision=null",
            "tasks.segmentation.inference.size=8",
        ],
    )
    return cfg, make_network(cfg, LABELS).eval()


def save(folder: Path, channels: int = 1, **preprocessing: Any) -> Path:
    cfg, network = network_of(channels)
    known = {"channels": channels, "size": None, "spatial_dims": 3, "intensity": ZSCORE} | preprocessing
    return bundle.save(
        network, folder, encoder_cfg=cfg.encoder, tasks_cfg=cfg.tasks, labels=LABELS, preprocessing=known, metrics={}
    )


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return visionkit.load(save(tmp_path / "model"), allow=[ZSCORE["_target_"]], device="cpu")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A turned and stretched volume."""
    (tmp_path / "volumes").mkdir()
    values = np.random.default_rng(0).normal(100, 20, SHAPE).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "volumes" / "case_1.nii.gz")
    return tmp_path / "volumes" / "case_1.nii.gz"


def evaluated(image: torch.Tensor) -> torch.Tensor:
    """What an evaluation of the dataset's sample says."""
    with torch.no_grad():
        return network_of()[1].predict({"image": ZScore()(image)[None]})["segmentation"]["mask"][0]


def test_a_file_gives_what_an_evaluation_gives(predictor: Predictor, file: Path) -> None:
    (result,) = predictor.predict(file)
    volume = read_volume(file)
    assert result.key == "case_1"
    assert torch.equal(result.predictions["segmentation"]["mask"], evaluated(torch.from_numpy(volume.array)))
    assert np.array_equal(result.image.numpy(), volume.array)
    array = predictor.predict([volume.array, volume.array[0], torch.from_numpy(volume.array)[None]])
    assert [other.key for other in array] == ["volume_0000", "volume_0001", "volume_0002"]
    for other in array:
        assert torch.equal(other.predictions["segmentation"]["mask"], result.predictions["segmentation"]["mask"])


def test_the_mask_lies_where_the_volume_lies(predictor: Predictor, file: Path, tmp_path: Path) -> None:
    assert save_all(predictor.stream(file.parent), tmp_path / "out") == 1
    line = json.loads((tmp_path / "out" / "predictions.jsonl").read_text())
    entry = line["tasks"]["segmentation"]
    assert entry["mask"] == "segmentation/mask/case_1_mask.nii.gz"
    written = nibabel.load(tmp_path / "out" / entry["mask"])
    assert written.shape == SHAPE
    np.testing.assert_array_equal(written.affine, nibabel.load(file).affine)
    (result,) = predictor.predict(file)
    mask = result.predictions["segmentation"]["mask"]
    assert np.array_equal(read_labels(tmp_path / "out" / entry["mask"]).array, mask.numpy())
    # By hand: file axes (i, j, k) run (back, up, right), the mask's (d, h, w) up, to the front, right.
    assert np.array_equal(np.asarray(written.dataobj), mask.numpy().transpose(1, 0, 2)[::-1])
    shares = {name: float((mask == i).double().mean()) for i, name in enumerate(LABELS["mask"].names)}
    assert entry["shares"] == pytest.approx({name: share for name, share in shares.items() if share})
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / entry["overlay"])), result.draw())


def test_a_grid_is_undone_by_the_nearest_voxel(file: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", spacing_mm=[1.6, 1.5, 1.0], interpolation="linear")
    (result,) = Predictor.load(folder, "cpu", [ZSCORE["_target_"]]).predict(file)
    volume = read_volume(file)
    sample = {"image": torch.from_numpy(volume.array), "spacing_mm": torch.tensor(volume.spacing_mm)}
    coarse = Grid([1.6, 1.5, 1.0])(sample)["image"]
    assert coarse.shape == (1, 6, 9, 14)
    places = [np.floor((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip((12, 9, 7), (6, 9, 14), strict=True)]
    expected = evaluated(coarse).numpy()[np.ix_(*places)]
    assert np.array_equal(result.predictions["segmentation"]["mask"].numpy(), expected)


def test_what_is_no_volume_is_named(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.nii.gz").write_bytes(b"text")
    bad = {
        "D40": tmp_path / "none.nii",
        "D41": tmp_path / "empty",
        "D42": np.zeros((4, 4)),
        "D43": np.full((4, 4, 4), np.nan),
        "D44": np.zeros((2, 4, 4, 4)),
        "D5": tmp_path / "x.nii.gz",
    }
    for code, images in bad.items():
        with pytest.raises(DataError, match=rf"error\[{code}"):
            predictor.predict(images)
    assert predictor.predict([]) == []


def test_intensities_are_known_classes_only(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    about = json.loads((folder / "bundle.json").read_text())
    for intensity, code in (({"_target_": "os.system"}, "U14"), ({}, "U26"), ([], "U26")):
        about["preprocessing"]["intensity"] = intensity
        (folder / "bundle.json").write_text(json.dumps(about))
        with pytest.raises(UnsafeFileError, match=code):
            bundle.load(folder, [ZSCORE["_target_"]])


@pytest.mark.parametrize(
    ("name", "value"),
    [("spatial_dims", 4), ("spacing_mm", [1.0, 1.0]), ("spacing_mm", [0, 1, 1]), ("interpolation", "best"), ("x", 1)],
)
def test_preprocessing_that_is_none_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(UnsafeFileError, match=rf"U06.*{name}"):
        save(tmp_path / "model", **{name: value})


def test_three_planes_are_drawn_with_square_pixels(predictor: Predictor) -> None:
    task = predictor.network.tasks["segmentation"]
    mask = torch.zeros(6, 30, 20, dtype=torch.int64)
    mask[2:4, 5:10, 5:15] = 1
    image = torch.randn(1, 6, 30, 20)
    thick = torch.tensor([5.0, 1.0, 1.0], dtype=torch.float64)
    alone = task.draw({"image": image, "spacing_mm": thick})
    both = task.draw({"image": image, "mask": mask, "spacing_mm": thick}, {"mask": mask})
    assert both.shape[1] > alone.shape[1]
    # Enlarged eight times: axial 30 x 20, coronal and sagittal 30 high because slices are 5 mm thick.
    assert alone.shape[0] >= 3 * 30 * 8
    assert (both == (250, 10, 10)).all(-1).any()
    assert task.draw({"image": image, "mask": mask}).shape[0] < both.shape[0]
