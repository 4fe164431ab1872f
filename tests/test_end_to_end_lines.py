"""The whole way with own lines of text: train, evaluate on the lines of others, export another way of reading."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visionkit.cli import main
from visionkit.launch import evaluate

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.early


def write_lines(folder: Path, texts: list[str]) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index, text in enumerate(texts):
        Image.fromarray(rng.integers(0, 256, (16, 40), dtype=np.uint8)).save(folder / f"{index:02d}.png")
        (folder / f"{index:02d}.gt.txt").write_text(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a user has lines of the letters a and b, lines of others, and a run."""
    folder = tmp_path_factory.mktemp("reader")
    write_lines(folder / "mine", ["ab", "ba", "aab"] * 8)
    write_lines(folder / "theirs", ["cde", "ced", "dec"] * 8)
    words = ["task=handwriting/ctc", "encoder=crnn", "encoder.channels=[4,4,4,4]", "dataset=line_folder"]
    words += ["dataset.root=mine", "dataset.prepare.height.height=16", "dataset.layout.fractions=[0.5,0.2,0.3]"]
    words += ["run=runs/mine", "trainer=cpu", "trainer.max_epochs=1", "workers=0", "logger=local"]
    command = [sys.executable, str(ROOT / "train.py"), *words]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_lines_with_letters_that_the_run_never_saw_are_errors_of_the_reader(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    evaluate(["run=runs/mine", "dataset.root=theirs"])
    other = Path("runs/mine/evaluations/dataset.root=theirs")
    about = json.loads((other / "evaluation/test/metrics.json").read_text())
    assert about["changes"] == ["dataset.root=theirs"]
    assert about["metrics"]["handwriting"]["cer"] >= 1
    assert "dataset.root=theirs" in (other / "report/index.html").read_text()
    own = json.loads(Path("runs/mine/evaluation/test/metrics.json").read_text())
    assert own["changes"] == []


def test_lines_to_be_tested_on_need_no_training_split(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    change = "dataset.layout.fractions=[0,0,1]"
    evaluate(["run=runs/mine", "dataset.root=theirs", change])
    (found,) = Path("runs/mine/evaluations").glob("*0,0,1*/evaluation/test/scores.json")
    assert len(json.loads(found.read_text())["handwriting"]) == 24


def test_another_way_of_reading_is_exported(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as ended:
        main(["export", "run=runs/mine", "out=spoken", "ngrams=training", "generation=ctc_language"])
    assert not ended.value.code
    plain, spoken = (json.loads((Path(name) / "bundle.json").read_text()) for name in ("runs/mine/bundle", "spoken"))
    counted = [about["labels"]["text"].pop("ngrams") for about in (plain, spoken)]
    assert plain["labels"] == spoken["labels"]
    assert counted[0] == []
    assert {order for order, _, _ in counted[1]} == {6}
    with pytest.raises(SystemExit) as ended:
        main(["predict", "spoken", "theirs", "--out", "predictions"])
    assert not ended.value.code
    rows = Path("predictions/predictions.jsonl").read_text().splitlines()
    assert len(rows) == 24
