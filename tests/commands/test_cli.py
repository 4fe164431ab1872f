"""Every command says what it did and what to type next; every mistake is one line with a way out."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tiny_model import ALLOW, CLASSES, ENCODER, PREPROCESSING, TASK, tiny_network

from visionkit import checkpoint, launch
from visionkit.bundle import folder as bundle
from visionkit.bundle import safety
from visionkit.cli import main
from visionkit.commands import catalog, checking, demo
from visionkit.commands.actions import COMMANDS
from visionkit.errors import DataError
from visionkit.labels import Classes


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return caught.value.code or 0, out, err  # type: ignore[return-value]


def mistake(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a wrong command gives."""
    code, _, err = call(capsys, *argv)
    assert err.count("\n") == 1
    assert err.startswith("visionkit: error[")
    assert code == {"C": 2, "D": 3, "S": 5, "U": 6, "R": 7, "E": 9}[err[17]]
    return err


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(safety, "known_targets", lambda: frozenset(ALLOW))
    arguments: dict[str, Any] = {"encoder_cfg": ENCODER, "tasks_cfg": {"segmentation": TASK}, "metrics": {}}
    arguments |= {"labels": {"mask": CLASSES}, "preprocessing": PREPROCESSING}
    return bundle.save(tiny_network(), tmp_path / "model", **arguments)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name in "ab":
        Image.fromarray(np.full((9, 12, 3), 77, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path / "images"


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"]])
def test_alone_it_says_what_to_type(capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    code, out, _ = call(capsys, *argv)
    assert code == 0
    assert all(f"visionkit {command}" in out for command in COMMANDS)


@pytest.mark.parametrize("command", ["list", "check", "evaluate", "report", "compare", "export", "predict", "demo"])
def test_each_command_explains_itself(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = call(capsys, command, "--help")
    assert code == 0
    assert f"usage: visionkit {command}" in out


@pytest.mark.parametrize("argv", [["--help"], ["list"], ["predict", "--help"], ["compare", "--help"]], ids=str)
def test_what_needs_no_torch_does_not_import_it(argv: list[str]) -> None:
    code = f"import sys; from visionkit.cli import run\ntry: run({argv!r})\nexcept SystemExit: pass\n"
    code += "print(*[name for name in ('torch', 'lightning', 'timm') if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, visionkit; visionkit.load; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_real_process_gives_the_code_and_one_line() -> None:
    code = "from visionkit.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "demmo"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "visionkit: error[C69] demmo: there is no such command; did you mean demo?\n"


def test_a_reader_that_stops_is_no_error() -> None:
    code = "from visionkit import cli\nfrom visionkit.commands import actions as commands\n"
    code += "commands.COMMANDS['list'] = lambda _: [print('x' * 1000, flush=True) for _ in range(1000)] and 0\n"
    code += "cli.main(['list'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0


WRONG = [
    (["predit"], "did you mean predict"),
    (["list", "encodrs"], "did you mean encoder"),
    (["list", "a", "b"], "unrecognized arguments"),
    (["predict"], "required"),
    (["predict", "nowhere", "x.png"], "visionkit export run="),
    (["predict", "m", "x.png", "--batchsize", "2"], "unrecognized arguments"),
    (["predict", "m", "x.png", "--batch-size", "0"], "give 1 or more"),
    (["predict", "m", "x.png", "--batch-size", "two"], "invalid int"),
    (["export"], "runs/NAME"),
    (["export", "run"], "not key=value"),
    (["export", "rnu=x"], "did you mean run"),
    (["export", "run=nowhere"], "no run folder"),
    (["export", "run=x", "onnx=maybe"], "onnx=true"),
    (["check"], "visionkit list datasets"),
    (["check", "dataset=camvit"], "did you mean camvid"),
    (["check", "dataset=camvid", "rot=x"], "did you mean root"),
    (["check", "dataset=camvid", "layout.x=1"], "no such setting"),
    (["check", "dataset=camvid", "root.x=1"], "no such setting"),
    (["check", "dataset=camvid", "root=[x"], "cannot be understood"),
    (["check", "camvid"], "not key=value"),
]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small configuration of its own."""
    files = {
        "train.yaml": "defaults:\n  - encoder: small\n  - task: ???\n  - experiment: null\n",
        "encoder/small.yaml": "# A small one.\n# More about it.\n_target_: x\n",
        "encoder/_base.yaml": "_target_: x\n",
        "task/edges/sides.yaml": "# @package tasks.edges\n# Side outputs.\n",
        "inference/tiles.yaml": "# @package tasks.edges.inference\n\n# Tiles.\n",
        "inference/plain.yaml": "size: 3 # no description\n",
        "dataset/camvid.yaml": "# Road scenes.\nlayout: {_target_: test_cli.Layout, _partial_: true, size: 3}\n"
        "root: data/camvid\nchannels: 3\n",
        "dataset/made.yaml": "# Generated.\nlayout: {_target_: test_cli.Layout, _partial_: true}\n"
        "root: null\nchannels: 1\n",
        "experiment/edges/hed_bsds.yaml": "# @package _global_\n# HED.\ndefaults:\n  - override /task: edges/sides\n",
    }
    for name, text in files.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    for module in ("visionkit.config", "visionkit.commands.catalog"):
        monkeypatch.setattr(f"{module}.conf_dir", lambda: tmp_path / "conf")
    return tmp_path / "conf"


@pytest.mark.parametrize(("argv", "help_"), WRONG, ids=[" ".join(argv) for argv, _ in WRONG])
def test_mistakes_are_one_line_with_a_way_out(
    capsys: pytest.CaptureFixture[str], conf: Path, argv: list[str], help_: str
) -> None:
    assert help_ in mistake(capsys, *argv)


def test_options_are_listed_as_they_are_typed(capsys: pytest.CaptureFixture[str], conf: Path) -> None:
    code, out, _ = call(capsys, "list")
    assert code == 0
    rows = [tuple(line.split(maxsplit=1)) for line in out.splitlines() if line.startswith("  ")]
    assert rows == [
        ("+dataset=camvid", "Road scenes."),
        ("+dataset=made", "Generated."),
        ("encoder=small", "A small one."),
        ("experiment=edges/hed_bsds", "HED."),
        ("+inference=plain",),
        ("+inference=tiles", "Tiles."),
        ("task=edges/sides", "Side outputs."),
    ]
    assert "Next: " in out


def test_one_group_is_listed_in_singular_and_plural(capsys: pytest.CaptureFixture[str], conf: Path) -> None:
    _, one, _ = call(capsys, "list", "encoder")
    _, many, _ = call(capsys, "list", "encoders")
    assert one == many
    assert "edges" not in one


def test_a_terminal_gets_a_table(
    capsys: pytest.CaptureFixture[str], conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = call(capsys, "list", "tasks")
    assert "task=edges/sides" in out
    assert "Side outputs." in out


def test_every_packaged_option_describes_itself() -> None:
    groups = catalog.options()
    assert "experiment" in groups
    assert [option for options in groups.values() for option in options if not option.description] == []


class Layout:
    """A dataset of which the second sample of the training split cannot be read."""

    def __init__(self, split: str, channels: int, root: Path | None = None, size: int = 2) -> None:
        if split not in ("train", "val", "test"):
            raise DataError("D99", split, "there is no such split", "choose another")
        self.labels = {"mask": Classes(("a",))}
        self.split, self.root, self.size, self.channels = split, root, size, channels

    def __len__(self) -> int:
        return self.size

    def key(self, index: int) -> str:
        return str(index)

    def __getitem__(self, index: int) -> Any:
        if index == 1 and self.split == "train" and self.root:
            raise DataError("D15", self.root / "1.png", "truncated", "replace it")
        image = torch.zeros(self.channels, 9, 9, dtype=torch.uint8)
        return {"key": self.key(index), "path": "x", "image": image, "mask": torch.zeros(9, 9, dtype=torch.int64)}


def test_check_names_every_bad_file(capsys: pytest.CaptureFixture[str], conf: Path) -> None:
    code, out, err = call(capsys, "check", "dataset=camvid", "root=/data/x", "layout.size=4")
    assert (code, err) == (3, "")
    assert [line for line in out.splitlines() if "error[" in line] == [
        "error[D15] /data/x/1.png: truncated; replace it"
    ]
    assert "camvid train: 3 samples can be used, 1 cannot" in out
    assert "camvid test: 4 samples can be used, 0 cannot" in out
    assert out.splitlines()[-1].startswith("Next: ")


def test_check_of_good_data_says_how_to_train(capsys: pytest.CaptureFixture[str], conf: Path) -> None:
    code, out, _ = call(capsys, "check", "dataset=camvid", "root=/data/x", "split=val")
    assert code == 0
    assert "train:" not in out
    assert out.splitlines()[-1].startswith("Next: python train.py task=NAME dataset=camvid dataset.root=/data/x")
    assert call(capsys, "check", "dataset=made")[0] == 0
    assert call(capsys, "check", "dataset=made", "split=vall")[0] == 3


def test_check_shows_progress_on_a_terminal(
    capsys: pytest.CaptureFixture[str], conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert checking.check_dataset("made", "val", {}) == 0
    assert "\r2 of 2" in capsys.readouterr().err


def test_predict_writes_results(capsys: pytest.CaptureFixture[str], model: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions"
    code, said, err = call(capsys, "predict", str(model), str(images), "--out", str(out), "--device", "cpu")
    assert (code, err) == (0, "")
    assert "2 predicted, 0 could not be read" in said
    assert "Next: " in said
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 2
    assert (out / "segmentation" / "mask" / "a.png").is_file()


def test_predict_goes_on_after_a_bad_picture(
    capsys: pytest.CaptureFixture[str], model: Path, images: Path, tmp_path: Path
) -> None:
    (images / "a.png").write_bytes(b"")
    (images / "c.png").write_bytes(b"not a picture")
    argv = ["predict", str(model), str(images), "--out", str(tmp_path / "out"), "--batch-size", "2"]
    code, said, err = call(capsys, *argv, "--tasks", "segmentation")
    assert code == 3
    assert [line.split("]")[0] for line in err.splitlines()] == ["visionkit: error[D12", "visionkit: error[D13"]
    assert "1 predicted, 2 could not be read" in said
    assert (tmp_path / "out" / "segmentation" / "mask" / "b.png").is_file()


def test_predict_refuses_an_unsafe_bundle(capsys: pytest.CaptureFixture[str], model: Path, images: Path) -> None:
    about = json.loads((model / "bundle.json").read_text())
    about["encoder"] = {"_target_": "os.system", "command": "touch ran"}
    (model / "bundle.json").write_text(json.dumps(about))
    assert "os.system" in mistake(capsys, "predict", str(model), str(images))


def test_export_makes_a_bundle(capsys: pytest.CaptureFixture[str], model: Path, tmp_path: Path) -> None:
    run, about = tmp_path / "run", json.loads((model / "bundle.json").read_text())
    state = {f"network.{key}": value for key, value in tiny_network().state_dict().items()}
    checkpoint.save_checkpoint({"state_dict": state}, run / "checkpoints" / "best.ckpt")
    cfg = {"encoder": about["encoder"], "tasks": about["tasks"], "dataset": {"channels": 3, "size": None}}
    OmegaConf.save(OmegaConf.create(cfg), run / "config.yaml")
    (run / "labels.json").write_text(json.dumps(about["labels"]))
    code, out, _ = call(capsys, "export", f"run={run}", f"out={tmp_path / 'new'}", "checkpoint=best")
    assert code == 0
    assert f"visionkit predict {tmp_path / 'new'}" in out.splitlines()[-1]
    bundle.load(tmp_path / "new")
    assert "no such checkpoint" in mistake(capsys, "export", f"run={run}", "checkpoint=bst")


@pytest.mark.parametrize(("command", "name"), [("train", "train"), ("evaluate", "evaluate"), ("report", "evaluate")])
def test_what_belongs_to_launch_is_passed_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, name: str
) -> None:
    words = ["-m", "run=x", "+a=1", "~b", "--help"]
    seen: list[Any] = []
    monkeypatch.setattr(sys, "argv", ["unchanged"])
    monkeypatch.setattr(launch, name, lambda *given: seen.append(given[0] if given else sys.argv[1:]))
    code, _, _ = call(capsys, command, *words)
    assert (code, seen) == (0, [words])


def test_demo_without_gradio_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert "R12] the demo needs gradio; pip install gradio" in mistake(capsys, "demo", "model")


def test_demo_draws_every_task(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gradio: Any = ModuleType("gradio")
    gradio.Image = lambda **options: options
    gradio.Interface = lambda show, inputs, outputs, **_: SimpleNamespace(
        show=show, outputs=outputs, launch=lambda: launched.append(show(Image.new("RGB", (7, 5))))
    )
    launched: list[Any] = []
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    monkeypatch.setattr(demo, "find_spec", lambda name: name)
    demo.launch(str(model), "cpu")
    (pictures,) = launched
    assert [picture.shape for picture in pictures] == [(5, 7, 3)]
