"""Planted faults: all are found by path, nothing else is, and nothing stops the check."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_trees import SPLITS, huge_png, indices, picture
from PIL import Image

from visionkit.datasets.camvid import CamVid
from visionkit.datasets.check import Tally, check, check_splits
from visionkit.datasets.findings import Finding
from visionkit.datasets.folder import Folder
from visionkit.datasets.synthetic import Shapes
from visionkit.errors import ConfigError, DataError
from visionkit.labels import Classes


def image(path: Path, array: np.ndarray, **options) -> str:
    Image.fromarray(array).save(path, **options)
    return str(path)


def content(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def truncate(path: Path) -> str:
    data = path.read_bytes()
    return content(path, data[: len(data) // 2])


def closed(path: Path) -> str:
    """Unreadable for everyone: rights alone would not stop root."""
    path.unlink()
    path.symlink_to(path.parent / "gone")
    return str(path)


def coded(path: Path) -> str:
    order = Image.fromarray(indices(0, 3) + 40)
    order.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tolist())
    order.save(path)
    return str(path)


def errors(findings) -> dict[str, str]:
    findings = [finding for finding in findings if finding.severity == "error"]
    found = {finding.path: finding.code for finding in findings}
    assert len(found) == len(findings)
    return found


def plant_in_camvid(home: Path) -> dict[str, str]:
    """Twelve kinds of fault in the split train and two in others; the answer is code by path."""
    images, masks = home / "train", home / "trainannot"
    names = sorted(path.name for path in images.iterdir())
    at = [images / name for name in names]
    truth = [masks / name for name in names]
    listing = home / "train.txt"
    lines = listing.read_text()
    listing.write_text(lines + lines.splitlines()[0] + "\n")
    high = np.asarray(Image.open(truth[2])).copy()
    high[1, 2] = 77
    large = content(at[8], huge_png(40000, 40000))
    planted = {
        truncate(at[0]): "D15",
        str(truth[1]): "D10",
        image(truth[2], high): "D26",
        image(truth[3], indices(3, 11, 5, 7)): "D25",
        coded(truth[4]): "D28",
        image(truth[5], picture(5)): "D28",
        content(at[6], b"a text file, not a picture"): "D13",
        content(at[7], b""): "D12",
        large: "D14",
        f"{listing}:{len(lines.splitlines()) + 1}": "D23",
        closed(at[9]): "D11",
        truncate(home / "valannot" / sorted((home / "valannot").iterdir())[0].name): "D15",
    }
    truth[1].unlink()
    image(at[10], picture(1, 1, 1))
    image(truth[10], indices(1, 11, 1, 1))
    image(images / "unlisted.png", picture(3))
    return planted


@pytest.fixture
def large_camvid(camvid):
    """CamVid with enough pictures in train for every fault."""
    home = camvid / "CamVid"
    lines = []
    for number in range(12):
        name = f"train_{number:03d}.png"
        image(home / "train" / name, picture(number, 40, 40))
        image(home / "trainannot" / name, indices(number, 12, 40, 40))
        lines.append(f"/SegNet/CamVid/train/{name} /SegNet/CamVid/trainannot/{name}\n")
    (home / "train.txt").write_text("".join(lines))
    return camvid


def test_camvid_with_planted_faults(large_camvid):
    planted = plant_in_camvid(large_camvid / "CamVid")
    assert len(planted) == 12
    findings = list(check_splits(CamVid, root=large_camvid))
    assert errors(findings) == planted
    warnings = [finding for finding in findings if finding.severity == "warning"]
    assert [(Path(w.path).name, w.code) for w in warnings] == [("train_010.png", "D34")]


def test_folder_with_planted_faults(folder):
    images, masks = folder / "images" / "train", folder / "masks" / "train"
    for number in range(14):
        image(images / f"p{number}.jpg", picture(number, 40, 40))
        image(masks / f"p{number}.png", indices(number, 3, 40, 40))
        (images / f"p{number}.png").unlink(missing_ok=True)
    at, truth = [images / f"p{n}.jpg" for n in range(14)], [masks / f"p{n}.png" for n in range(14)]
    truth[1].unlink()
    (images / "p12.jpg").unlink()
    (images / "p12.png").mkdir()
    planted = {
        truncate(at[0]): "D15",
        str(at[1]): "D24",
        image(truth[2], indices(2, 3, 39, 40)): "D25",
        image(truth[3], indices(3, 5, 40, 40)): "D26",
        coded(truth[4]): "D26",
        image(truth[5], picture(5, 40, 40)): "D28",
        content(at[6], b"a text file, not a picture"): "D13",
        content(at[7], b""): "D12",
        content(at[8], huge_png(40000, 40000)): "D14",
        str(at[9]): "D23",
        closed(at[10]): "D11",
        str(images / "p12.png"): "D11",
        image(masks / "p13.jpg", indices(1, 3, 40, 40)): "D23",
    }
    image(images / "p9.png", picture(1))
    image(at[11], picture(1, 1, 1))
    image(truth[11], indices(1, 3, 1, 1))
    findings = list(check_splits(partial(Folder, channels=3), root=folder))
    assert errors(findings) == planted
    assert [f.code for f in findings if f.severity == "warning" and "p11" in f.path] == ["D34"]


def test_both_files_of_a_sample_are_told(camvid):
    home = camvid / "CamVid"
    planted = {truncate(home / "val" / "val_000.png"): "D15", truncate(home / "valannot" / "val_000.png"): "D15"}
    assert errors(check(CamVid(root=camvid, split="val"))) == planted


def test_sound_datasets_have_no_findings(camvid, folder):
    assert errors(check_splits(CamVid, root=camvid)) == {}
    assert list(check_splits(Folder, root=folder)) == []
    assert list(check(Shapes("train", length=40))) == []


def test_a_split_that_cannot_be_opened_does_not_hide_the_others(camvid):
    (camvid / "CamVid" / "train.txt").unlink()
    broken = truncate(camvid / "CamVid" / "val" / "val_001.png")
    listing = str(camvid / "CamVid" / "train.txt")
    assert errors(check_splits(CamVid, root=camvid)) == {listing: "D21", broken: "D15"}


def test_tally_and_progress(camvid):
    truncate(camvid / "CamVid" / "val" / "val_001.png")
    tally, calls = Tally(), []
    list(check(CamVid(root=camvid, split="val"), lambda done, total: calls.append((done, total)), tally))
    assert calls == [(number + 1, SPLITS["val"]) for number in range(SPLITS["val"])]
    assert (tally.samples, tally.lost) == (3, 1)
    values = np.concatenate([indices(number, 12).ravel() for number in (0, 2, 3)])
    assert list(tally.pixels.values()) == np.bincount(values, minlength=12)[:11].tolist()
    assert tally.unknown == (values == 11).sum()
    tallies = {"val": Tally()}
    list(check_splits(CamVid, ["val"], tallies=tallies, root=camvid))
    assert tallies["val"].pixels == tally.pixels


def test_absent_class_and_unknown_mask_are_warnings(folder):
    for path in (folder / "masks" / "val").iterdir():
        image(path, np.minimum(np.asarray(Image.open(path)), 1))
    image(folder / "masks" / "val" / "p2.png", np.full((12, 16), 255, np.uint8))
    findings = list(check(Folder(root=folder, split="val"), place="val"))
    assert [(finding.path, finding.code) for finding in findings] == [
        (str(folder / "images" / "val" / "p2.png"), "D35"),
        ("val", "D36"),
    ]
    assert "'car'" in findings[1].what
    assert {finding.severity for finding in findings} == {"warning"}


class Foreign:
    """A dataset that knows nothing of checks, and that breaks in ways of its own."""

    labels = {"mask": Classes(("a", "b"))}  # noqa: RUF012

    def __len__(self):
        return 4

    def key(self, index):
        return f"k{index}"

    def __getitem__(self, index):
        if index == 1:
            raise DataError("D15", "one.png", "truncated", "replace it")
        if index == 2:
            raise TypeError("unforeseen")
        mask = torch.tensor([[0, 1]]).repeat(9, 5)
        return {"key": self.key(index), "image": torch.zeros(3, 9, 10, dtype=torch.uint8), "mask": mask}


def test_any_dataset_can_be_checked():
    findings = list(check(Foreign()))
    assert [(finding.path, finding.code, finding.key) for finding in findings] == [
        ("one.png", "D15", "k1"),
        ("k2", "D39", "k2"),
    ]
    assert "TypeError: unforeseen" in findings[1].what


def test_mistakes_of_the_user_are_not_faults_of_the_data(folder):
    with pytest.raises(ConfigError):
        list(check_splits(Folder, ["val"], root=folder, channels=7))


def test_a_finding_is_one_line():
    error = DataError("D15", "a.png", "truncated after 3 bytes", "replace it")
    assert str(Finding.of(error)) == str(error)
    assert str(Finding("", "D36", "what", "fix", "warning")) == "warning[D36] what; fix"


@pytest.mark.realdata
def test_real_camvid_with_planted_faults(real_data, tmp_path):
    """A copy of a part of the real data: the planted faults are found and no other."""
    source, home = real_data / "camvid" / "CamVid", tmp_path / "CamVid"
    for split in SPLITS:
        lines = (source / f"{split}.txt").read_text().splitlines()[:14]
        for name in (Path(line.split()[0]).name for line in lines):
            for part in (split, f"{split}annot"):
                (home / part).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / part / name, home / part / name)
        (home / f"{split}.txt").write_text("\n".join(lines) + "\n")
    assert errors(check_splits(CamVid, root=tmp_path)) == {}
    planted = plant_in_camvid(home)
    assert errors(check_splits(CamVid, root=tmp_path)) == planted


class OneFile:
    """Tiny samples: two of one file, one whose file is its own, and one whose folder is named like it."""

    labels = {}  # noqa: RUF012

    def __len__(self):
        return 4

    def key(self, index):
        return ["words__01", "words__02", "a__b__c", "a"][index]

    def __getitem__(self, index):
        path = ["data/words", "data/words", "data/a/b__c.bin.png", "data/a1/page.png"][index]
        return {"key": self.key(index), "path": path, "image": torch.zeros(1, 3, 4, dtype=torch.uint8)}


def test_samples_of_one_file_are_told_apart():
    assert [str(finding) for finding in check(OneFile())] == [
        f"warning[D34] {place}: is only 4 x 3 pixels; see that this is meant"
        for place in ("data/words, words__01", "data/words, words__02", "data/a/b__c.bin.png", "data/a1/page.png, a")
    ]
