"""Settings that must stand before the libraries are imported, and the fixtures that many tests share."""

import gc
import os
import pickle
from pathlib import Path
from typing import Any

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest
import torch
from omegaconf import OmegaConf

from visionkit.config import conf_dir

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
gc.disable()  # until all tests are imported: nothing of that will be freed


def parse_once() -> None:
    """A file of the configuration is parsed once for all tests: they compose hundreds."""
    load, known = OmegaConf.load, {}

    def load_copy(file: Any) -> Any:
        name = str(getattr(file, "name", ""))  # of an open file, as Hydra gives it
        if not name.startswith(f"{conf_dir()}{os.sep}"):
            return load(file)
        if name not in known:
            known[name] = pickle.dumps(load(file))
        return pickle.loads(known[name])  # copies three times as fast as deepcopy

    OmegaConf.load = staticmethod(load_copy)


parse_once()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long are begun first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_collection_finish() -> None:
    """The libraries stay to the end: the garbage collector need not walk through them again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real datasets; the test is skipped where it is missing."""
    folder = Path(os.environ.get("VISIONKIT_DATA", ""))
    if not os.environ.get("VISIONKIT_DATA") or not folder.is_dir():
        pytest.skip("set VISIONKIT_DATA to the folder of the real datasets")
    return folder
