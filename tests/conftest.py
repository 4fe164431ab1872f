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


def pytest_configure(config: pytest.Config) -> None:
    """Prepares a process that runs tests; the one that deals them out to others needs no libraries."""
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        parse_once()
        gc.disable()  # until all tests are imported: nothing of that will be freed


def parse_once() -> None:
    """A file of the configuration is parsed once for all tests: they compose hundreds."""
    import hydra
    from omegaconf import OmegaConf

    from visionkit.config import conf_dir

    load, known = OmegaConf.load, {}
    places = tuple(f"{place}{os.sep}" for place in (conf_dir(), Path(hydra.__file__).parent))

    def load_copy(file: Any) -> Any:
        name = str(getattr(file, "name", ""))  # of an open file, as Hydra gives it
        if not name.startswith(places):
            return load(file)
        if name not in known:
            known[name] = pickle.dumps(load(file))
        return pickle.loads(known[name])  # copies three times as fast as deepcopy

    OmegaConf.load = staticmethod(load_copy)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long are begun first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_collection_finish() -> None:
    """The libraries stay to the end: the garbage collector need not walk through them again and again."""
    gc.freeze()
    gc.set_threshold(10_000)  # composing makes thousands of objects that are no garbage
    gc.enable()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real datasets; the test is skipped where it is missing."""
    folder = Path(os.environ.get("VISIONKIT_DATA", ""))
    if not os.environ.get("VISIONKIT_DATA") or not folder.is_dir():
        pytest.skip("set VISIONKIT_DATA to the folder of the real datasets")
    return folder
