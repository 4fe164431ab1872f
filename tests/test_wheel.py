"""The wheel alone, away from the checkout, knows its configuration and works."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys, visionkit.cli as cli; assert cli.__file__.startswith(sys.argv.pop(1)); cli.main()"
    command = [sys.executable, "-c", code, str(unpacked), *words]
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=unpacked.parent, env=environment)


def test_it_holds_the_whole_configuration(unpacked: Path) -> None:
    files = {str(path.relative_to(ROOT / "conf")) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {str(path.relative_to(unpacked / "visionkit/conf")) for path in unpacked.rglob("conf/**/*.yaml")} == files
    assert (unpacked / "visionkit/reports/style.css").is_file()
    assert (unpacked / "visionkit/layers/scan_cpu/kernel.cpp").is_file()
    assert not list(unpacked.rglob("tests"))


def test_its_command_lists_and_explains(unpacked: Path) -> None:
    listed = run(unpacked, "list", "experiments")
    assert listed.returncode == 0, listed.stderr
    assert "experiment=segmentation/unet_camvid" in listed.stdout
    refused = run(unpacked, "train", "experiment=segmentation/unet_canvid")
    assert refused.returncode == 2
    assert "did you mean segmentation/unet_camvid" in refused.stderr
