"""Small datasets in their true layouts, made when a test asks for them."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from dataset_trees import SPLITS, indices, picture
from PIL import Image


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A root that holds CamVid/ with pictures of 16 x 12 pixels; file n of a split is picture(n)."""
    home = tmp_path / "data" / "CamVid"
    for split, count in SPLITS.items():
        (home / split).mkdir(parents=True)
        (home / f"{split}annot").mkdir()
        lines = []
        for number in range(count):
            name = f"{split}_{number:03d}.png"
            Image.fromarray(picture(number)).save(home / split / name)
            Image.fromarray(indices(number, 12)).save(home / f"{split}annot" / name)
            lines.append(f"/SegNet/CamVid/{split}/{name} /SegNet/CamVid/{split}annot/{name}\n")
        (home / f"{split}.txt").write_text("".join(lines))
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Folder root with split folders, JPEG and PNG pictures, and three classes."""
    root = tmp_path / "mine"
    for split, count in SPLITS.items():
        (root / "images" / split).mkdir(parents=True)
        (root / "masks" / split).mkdir(parents=True)
        for number in range(count):
            ending = "jpg" if number % 2 else "png"
            Image.fromarray(picture(number)).save(root / "images" / split / f"p{number}.{ending}")
            Image.fromarray(indices(number, 3)).save(root / "masks" / split / f"p{number}.png")
    (root / "classes.yaml").write_text("- sky\n- road\n- car\n")
    return root


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, as tmp_path is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """Lays down the rights of root for a while, for root may read everything."""

    @contextmanager
    def user() -> Iterator[None]:
        before = os.geteuid()
        if before == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(before)

    return user
