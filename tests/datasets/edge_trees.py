"""Small edge datasets in their true layouts."""

from pathlib import Path

import numpy as np
from dataset_trees import SPLITS, picture
from PIL import Image
from scipy.io import savemat


def lines(seed: int, annotators: int = 1, height: int = 12, width: int = 16) -> np.ndarray:
    """Maps of 0 and 1, a sixth of them edges."""
    return (np.random.default_rng(seed).random((annotators, height, width)) < 1 / 6).astype(np.uint8)


def write_annotators(path: Path, maps: np.ndarray) -> None:
    """A .mat file as those of BSDS500: a 1 x K cell of structs."""
    cell = np.empty((1, len(maps)), dtype=object)
    for index, drawn in enumerate(maps):
        cell[0, index] = {"Segmentation": drawn.astype(np.uint16) + 1, "Boundaries": drawn}
    savemat(path, {"groundTruth": cell}, do_compression=True)


def bsds_tree(home: Path) -> None:
    """``images`` and ``groundTruth``; file n of a split is picture(n), drawn by n + 1 annotators as lines(n, n + 1)."""
    for split, count in SPLITS.items():
        (home / "images" / split).mkdir(parents=True)
        (home / "groundTruth" / split).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(number)).save(home / "images" / split / f"{split}{number}.png")
            write_annotators(home / "groundTruth" / split / f"{split}{number}.mat", lines(number, number + 1))


def biped_tree(home: Path) -> None:
    """``edges``; file n of a folder is picture(n), drawn as lines(n)."""
    for folder, count in (("train/rgbr/real", 20), ("test/rgbr", 3)):
        (home / "imgs" / folder).mkdir(parents=True)
        (home / "edge_maps" / folder).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(number)).save(home / "imgs" / folder / f"RGB_{number:03d}.png")
            Image.fromarray(lines(number)[0] * 255).save(home / "edge_maps" / folder / f"RGB_{number:03d}.png")
