"""Datasets of points in their own layouts, small and real: every sample equals its files."""

import json

import numpy as np
import pytest
import torch
from dataset_trees import picture
from omegaconf import OmegaConf
from PIL import Image
from scipy.io import savemat

from visionkit.bundle.safety import known_targets, targets
from visionkit.config import build, compose
from visionkit.datasets.check import check
from visionkit.datasets.points_folder import PointsFolder
from visionkit.datasets.shanghaitech import ShanghaiTech
from visionkit.datasets.trancos import TRANCOS
from visionkit.datasets.ucf_cc_50 import UCFCC50
from visionkit.datasets.ucf_qnrf import UCFQNRF
from visionkit.errors import ConfigError, DataError
from visionkit.prediction.pictures import Pictures


def heads(number, size=(12, 16)):
    """As many as the number, x and y."""
    return np.random.default_rng(number).random((number, 2)) * size[::-1]


def write_picture(path, number, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(number, **options)).save(path)


def write_info(path, places):
    path.parent.mkdir(parents=True, exist_ok=True)
    inner = np.zeros((1, 1), [("location", object), ("number", object)])
    inner[0, 0] = (places, np.array([[len(places)]]))
    cell = np.empty((1, 1), object)
    cell[0, 0] = inner
    savemat(path, {"image_info": cell})


def shanghaitech(root, truth="ground-truth", part="part_A"):
    for split, count in (("train", 8), ("test", 3)):
        for number in range(count):
            home = root / part / f"{split}_data"
            write_picture(home / "images" / f"IMG_{number}.png", number)
            write_info(home / truth / f"GT_IMG_{number}.mat", heads(number))


def check_samples(dataset, total):
    assert len(dataset) == total
    for index in range(total):
        sample, number = dataset[index], int(dataset.key(index).split("_")[-1])
        assert (sample["image"].permute(1, 2, 0).numpy() == picture(number)).all()
        np.testing.assert_allclose(sample["points"].numpy(), heads(number).reshape(-1, 2), rtol=1e-6)
        assert sample["points"].dtype == torch.float32
        assert sample["valid"].all()


@pytest.mark.parametrize(("truth", "part"), [("ground-truth", "part_A"), ("ground_truth", "part_A_final")])
def test_shanghaitech(tmp_path, truth, part):
    shanghaitech(tmp_path / "ShanghaiTech", truth, part)
    for root in (tmp_path, tmp_path / "ShanghaiTech"):
        check_samples(ShanghaiTech(root, "test"), 3)
    splits = {split: ShanghaiTech(tmp_path, split, val_share=0.4) for split in ("train", "val")}
    keys = {split: {data.key(index) for index in range(len(data))} for split, data in splits.items()}
    assert keys["train"] | keys["val"] == {f"IMG_{number}" for number in range(8)}
    assert not keys["train"] & keys["val"]
    check_samples(ShanghaiTech(tmp_path, "train", val_share=0.4, train_on_val=True), 8)


def test_faults_of_shanghaitech(tmp_path):
    with pytest.raises(DataError, match="D20"):
        ShanghaiTech(tmp_path, "test")
    shanghaitech(tmp_path)
    with pytest.raises(DataError, match=r"D20.*found part_A"):
        ShanghaiTech(tmp_path, "test", part="B")
    with pytest.raises(ConfigError, match="C138"):
        ShanghaiTech(tmp_path, "test", part="C")
    with pytest.raises(ConfigError, match="did you mean test"):
        ShanghaiTech(tmp_path, "tset")
    truths = tmp_path / "part_A" / "test_data" / "ground-truth"
    (truths / "GT_IMG_0.mat").unlink()
    (truths / "GT_IMG_1.mat").write_bytes(b"nothing")
    savemat(truths / "GT_IMG_2.mat", {"other": np.zeros(3)})
    dataset = ShanghaiTech(tmp_path, "test")
    assert [dataset.examine(index)[1][0].code for index in range(3)] == ["D24", "D80", "D81"]
    write_info(truths / "GT_IMG_1.mat", np.array([[1.0, np.nan]]))
    savemat(truths / "GT_IMG_2.mat", {"image_info": np.zeros((0, 0))})
    write_info(truths / "GT_IMG_0.mat", np.zeros((3, 1)))
    dataset = ShanghaiTech(tmp_path, "test")
    assert [dataset.examine(index)[1][0].code for index in range(3)] == ["D90", "D92", "D90"]


def test_check_tells_of_points_outside(tmp_path):
    shanghaitech(tmp_path)
    path = tmp_path / "part_A" / "test_data" / "ground-truth" / "GT_IMG_2.mat"
    write_info(path, np.array([[16.0, 12.0], [16.5, 3.0], [-1.0, 2.0]]))
    (finding,) = check(ShanghaiTech(tmp_path, "test"))
    assert (finding.code, finding.severity, finding.key) == ("D93", "warning", "IMG_2")
    assert "2 of its 3 points" in finding.what


def test_ucf_qnrf(tmp_path):
    for folder, count in (("Train", 6), ("Test", 3)):
        for number in range(count):
            write_picture(tmp_path / "UCF-QNRF_ECCV18" / folder / f"img_{number:04d}.png", number)
            savemat(tmp_path / "UCF-QNRF_ECCV18" / folder / f"img_{number:04d}_ann.mat", {"annPoints": heads(number)})
    check_samples(UCFQNRF(tmp_path, "test"), 3)
    parts = [UCFQNRF(tmp_path, split, val_share=0.5) for split in ("train", "val")]
    assert sum(map(len, parts)) == 6
    with pytest.raises(DataError, match="D20"):
        UCFQNRF(tmp_path / "none", "test")


def test_a_picture_is_predicted_at_the_size_at_which_it_is_evaluated(tmp_path):
    for folder in ("Train", "Test"):
        write_picture(tmp_path / folder / "img_0002.png", 2)
        savemat(tmp_path / folder / "img_0002_ann.mat", {"annPoints": heads(2)})
    overrides = ["dataset=ucf_qnrf", f"dataset.root={tmp_path}", "dataset.prepare.shorter_side.most=6"]
    cfg = compose("train", overrides).dataset
    evaluated = build(cfg).examples("test")[0]
    assert evaluated["image"].shape == (3, 6, 8)
    np.testing.assert_allclose(evaluated["points"].numpy(), heads(2) / 2, rtol=1e-6)
    steps = [OmegaConf.to_container(step, resolve=True) for step in cfg.prepare.values()]
    assert targets(steps) <= known_targets()
    (item,) = Pictures({"channels": 3, "size": None, "prepare": steps}).find(tmp_path / "Test")
    assert torch.equal(item.open().given, evaluated["image"])


def test_ucf_cc_50_has_five_folds(tmp_path):
    for number in range(1, 51):
        write_picture(tmp_path / f"{number}.png", number)
        savemat(tmp_path / f"{number}_ann.mat", {"annPoints": heads(number)})
    tested = [UCFCC50(tmp_path, "test", fold=fold) for fold in range(1, 6)]
    check_samples(tested[1], 10)
    assert [data.key(0) for data in tested] == ["1", "11", "21", "31", "41"]
    for fold, data in enumerate(tested, start=1):
        rest = [UCFCC50(tmp_path, split, fold=fold) for split in ("train", "val")]
        keys = [own.key(index) for own in (data, *rest) for index in range(len(own))]
        assert sorted(map(int, keys)) == list(range(1, 51))
    with pytest.raises(ConfigError, match="C138"):
        UCFCC50(tmp_path, "test", fold=6)
    with pytest.raises(DataError, match="D20"):
        UCFCC50(tmp_path / "none", "test")


def test_trancos_counts_inside_its_region(tmp_path):
    home = tmp_path / "TRANCOS_v3"
    write_picture(home / "images" / "image-1-000001.png", 1)
    dots = np.zeros((12, 16, 3), np.uint8)
    dots[2, 3] = dots[9, 12] = (255, 0, 0)
    Image.fromarray(dots).save(home / "images" / "image-1-000001dots.png")
    region = np.zeros((12, 16))
    region[:6] = 1
    savemat(home / "images" / "image-1-000001mask.mat", {"BW": region})
    (home / "image_sets").mkdir()
    for name in ("training", "validation", "test"):
        (home / "image_sets" / f"{name}.txt").write_text("image-1-000001.png\n")
    sample = TRANCOS(tmp_path, "val")[0]
    assert sample["points"].tolist() == [[3.5, 2.5]]
    assert (sample["image"][:, 6:] == 0).all()
    assert (sample["image"][:, :6].permute(1, 2, 0).numpy() == picture(1)[:6]).all()
    everything = TRANCOS(tmp_path, "val", region=False)
    assert everything[0]["points"].tolist() == [[3.5, 2.5], [12.5, 9.5]]
    assert everything.labels["points"].name == "vehicles"
    larger = np.zeros((20, 30, 3), np.uint8)
    larger[2, 3] = larger[15, 28] = (255, 0, 0)
    Image.fromarray(larger).save(home / "images" / "image-1-000001dots.png")
    assert TRANCOS(tmp_path, "val")[0]["points"].tolist() == [[3.5, 2.5]]
    savemat(home / "images" / "image-1-000001mask.mat", {"BW": region[:5]})
    with pytest.raises(DataError, match="D94"):
        TRANCOS(tmp_path, "test")[0]
    with pytest.raises(DataError, match="D20"):
        TRANCOS(home / "images", "test")


FILES = {
    "plain.csv": "1,2\n3.5, 4\n",
    "named.csv": "\ufeffname,y,x\na,2,1\nb,4,3.5\n",
    "pairs.json": "[[1, 2], [3.5, 4]]",
    "object.json": json.dumps({"points": [[1, 2], [3.5, 4]]}),
    "none.csv": "",
    "header.csv": "x,y\n",
    "none.json": "[]",
}


@pytest.mark.parametrize("name", FILES)
def test_points_of_ones_own(tmp_path, name):
    stem = name.split(".")[0]
    write_picture(tmp_path / "images" / "test" / f"{stem}.png", 0)
    (tmp_path / "points" / "test").mkdir(parents=True)
    (tmp_path / "points" / "test" / name).write_text(FILES[name], encoding="utf-8")
    (sample,) = (PointsFolder(tmp_path, "test", objects="cars", offset_px=0.5)[index] for index in range(1))
    empty = stem in ("none", "header")
    assert sample["points"].tolist() == ([] if empty else [[1.5, 2.5], [4.0, 4.5]])
    assert sample["points"].shape[1] == 2


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.csv", "1,2\nx,3\n", "D91"),
        ("a.csv", "1\n", "D91"),
        ("a.csv", "1,nan\n", "D92"),
        ("a.csv", '"1,2', "D123"),
        ("a.json", "[1, 2]", "D90"),
        ("a.json", '{"places": [[1, 2]]}', "D90"),
        ("a.json", '[["a", 2]]', "D90"),
        ("a.json", "[[1, 2], [3]]", "D90"),
        ("a.json", "[[1, 2", "D91"),
        ("a.json", "", "D91"),
    ],
)
def test_faults_of_points_of_ones_own(tmp_path, name, text, code):
    write_picture(tmp_path / "images" / "test" / "a.png", 0)
    (tmp_path / "points" / "test").mkdir(parents=True)
    (tmp_path / "points" / "test" / name).write_text(text)
    with pytest.raises(DataError) as caught:
        PointsFolder(tmp_path, "test")[0]
    assert caught.value.code == code


@pytest.mark.realdata
def test_real_shanghaitech(real_data):
    root, counts = real_data / "shanghaitech", {}
    for part in "AB":
        for split, options in (("train", {"train_on_val": True}), ("test", {})):
            dataset = ShanghaiTech(root, split, part=part, **options)
            counts[part, split] = sum(len(dataset[index]["points"]) for index in range(len(dataset)))
            assert not [finding for finding in check(dataset) if finding.severity == "error"]
    assert counts == {("A", "train"): 22523, ("A", "test"): 12844, ("B", "train"): 3319, ("B", "test"): 1847}
