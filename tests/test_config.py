"""What is mistyped is answered in one line with what to type instead, before anything heavy is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from visionkit.config import build, check_roots, compose, conf_dir, options
from visionkit.errors import ConfigError, DataError

ROOT = Path(__file__).parents[1]
CAMVID = "experiment=segmentation/unet_camvid"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["experiment=sgmentation/unet_camvid"], "did you mean segmentation/unet_camvid"),
        ([CAMVID, "encoder=resnet8"], "did you mean resnet18"),
        ([CAMVID, "task=segmentation/unett"], "did you mean segmentation/unet"),
        ([CAMVID, "trainer.max_epoch=3"], "did you mean trainer.max_epochs"),
        ([CAMVID, "dataset.augment.crop.heigth=3"], "did you mean dataset.augment.crop.height"),
        ([CAMVID, "trainr.max_epochs=3"], "did you mean trainer"),
        ([CAMVID, "encodr=resnet18"], "did you mean encoder"),
        ([CAMVID, "seeed=1"], "did you mean seed"),
        ([CAMVID, "seed.x=1"], "seed"),
        ([CAMVID, "x=[1"], "error[C04]"),
        ([CAMVID, "encoder=[1,2"], "error[C04]"),
        ([CAMVID, "run=null", "ngrams=null"], "write ~ngrams"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose("train", overrides)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "experiment=segmentation/unet_camvid"),
        (["task=segmentation/unet"], 2, "experiment=segmentation/unet_camvid"),
        (["experiment=sgmentation/unet_camvid"], 2, "segmentation/unet_camvid"),
        ([CAMVID, "trainer.max_epoch=3"], 2, "trainer.max_epochs"),
        ([CAMVID, "dataset.root=/nowhere"], 3, "dataset.root=DIR"),
        ([CAMVID, "~guidance", "tokenizer=null"], 2, "write ~tokenizer"),
        ([CAMVID, "dataset.root=.", "resume=yes"], 2, "resume=auto"),
        (["-m", CAMVID, "encoder=resnet18,vit_tin"], 2, "vit_tiny"),
    ],
)
def test_the_command_prints_one_line(words: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_errors_come_before_torch_is_imported() -> None:
    code = "import sys, visionkit.launch, visionkit.cli; print([m for m in ('torch', 'lightning') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_help_shows_groups_and_commands() -> None:
    done = subprocess.run([sys.executable, "train.py", "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    for text in ("python train.py experiment=", "encoder: ", "resume=auto", "max_epochs: "):
        assert text in done.stdout


def test_missing_roots_are_found_in_every_source(tmp_path: Path) -> None:
    cfg = compose("train", ["dataset=camvid", f"dataset.root={tmp_path}"])
    check_roots(cfg)
    cfg.dataset = {"sources": {"a": {"root": None}, "b": {"root": str(tmp_path / "missing")}}}
    with pytest.raises(DataError, match=r"dataset\.sources\.b\.root"):
        check_roots(cfg)


def test_build_makes_the_innermost_first() -> None:
    made = build({"_target_": "builtins.dict", "a": {"_target_": "builtins.list", "_args_": [(1, 2)]}}, b=3)
    assert made == {"a": [1, 2], "b": 3}


def test_options_are_the_files() -> None:
    assert "resnet18" in options("encoder")
    assert "segmentation/unet" in options("task")
    assert (conf_dir() / "train.yaml").is_file()
