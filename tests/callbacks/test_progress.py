import io
import re
import sys
from pathlib import Path

import pytest
import torch

from visionkit.callbacks.progress import EpochLines, duration, progress_bar
from visionkit.callbacks.summary import closing_summary

LINE = re.compile(
    r"epoch (\d)/3  step (\d)  train/loss [\d.]+  val/segmentation/accuracy [\d.]+  [\d.]+ s/epoch  [\d.]+ s left"
)


def test_one_plain_line_an_epoch(tmp_path, make, fake, capsys):
    make(tmp_path, [EpochLines()], enable_progress_bar=True, max_epochs=3).fit(fake.Module(), *fake.loaders())
    lines = capsys.readouterr().out.splitlines()
    assert [LINE.fullmatch(line).groups() for line in lines] == [("1", "3"), ("2", "6"), ("3", "9")]
    assert lines[-1].endswith("  0.0 s left")


def test_the_loss_is_the_epochs_own(tmp_path, make, fake, capsys):
    module = fake.Module()
    trainer = make(tmp_path, [EpochLines()], enable_progress_bar=True, max_epochs=2)
    trainer.fit(module, *fake.loaders())
    last = capsys.readouterr().out.splitlines()[-1]
    assert f"train/loss {float(trainer.callback_metrics['train/loss_epoch']):.4g}  " in last


def test_without_a_last_epoch_nothing_is_promised(tmp_path, make, fake, capsys):
    trainer = make(tmp_path, [EpochLines()], enable_progress_bar=True, max_epochs=-1, max_steps=3)
    trainer.fit(fake.Module(), *fake.loaders())
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("epoch 1  step 3  ")
    assert line.endswith("s/epoch")


def test_a_long_epoch_has_lines_within_it(tmp_path, make, fake, capsys):
    trainer = make(tmp_path, [EpochLines(every_s=0)], enable_progress_bar=True, max_epochs=2)
    trainer.fit(fake.Module(), *fake.loaders())
    lines = capsys.readouterr().out.splitlines()
    within = re.compile(r"epoch (\d)/2  batch (\d)/3  train/loss [\d.]+  [\d.]+ s left in it")
    assert [within.fullmatch(line).groups() for line in lines if re.match("epoch.*batch", line)] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
    ]
    assert len([line for line in lines if line.startswith("epoch")]) == 6


@pytest.mark.parametrize(("run", "stage"), [("validate", "val"), ("test", "test")])
def test_a_long_evaluation_has_lines(run, stage, tmp_path, make, fake, capsys):
    class Tested(fake.Module):
        test_step = fake.Module.validation_step

    trainer = make(tmp_path, [EpochLines(every_s=0)], enable_progress_bar=True)
    getattr(trainer, run)(Tested(), fake.loaders()[1], verbose=False)
    assert capsys.readouterr().out.splitlines() == [f"{stage}  batch 1/2", f"{stage}  batch 2/2"]


def test_other_ranks_print_nothing(tmp_path, make, fake, capsys):
    callback = EpochLines()
    trainer = make(tmp_path, [callback], enable_progress_bar=True, max_epochs=1)
    callback.disable()
    trainer.fit(fake.Module(), *fake.loaders())
    assert capsys.readouterr().out == ""


def test_a_file_gets_lines_and_a_terminal_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert isinstance(progress_bar(), EpochLines)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert type(progress_bar()).__mro__[1].__name__ == "RichProgressBar"


def test_the_bar_shows_figures_on_a_terminal(tmp_path, make, fake, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    bar = progress_bar()
    make(tmp_path, [bar], enable_progress_bar=True, max_epochs=1).fit(fake.Module(), *fake.loaders())
    assert "Epoch 0/0" in terminal.getvalue()
    assert "v_num" not in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (204, "3 min 24 s"),
        (3600, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (3 * 86400 + 4 * 3600, "3 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def summary(width=120, **options):
    from rich.console import Console

    out = io.StringIO()
    closing_summary(**options, console=Console(file=out, width=width, highlight=False))
    return out.getvalue()


RESULTS = {
    "val": {
        "segmentation": {"miou": torch.tensor(0.71234), "iou": torch.zeros(3)},
        "counting": {"mae": torch.tensor(8)},
    },
    "test": {"segmentation": {"miou": torch.tensor(float("nan"))}},
    "train": {},
}


def test_the_summary_shows_figures_of_every_task_and_stage():
    lines = [line.split() for line in summary(run="runs/a", results=RESULTS, seconds=75).splitlines()]
    assert ["task", "metric", "val", "test"] in lines
    assert ["segmentation", "miou", "0.7123", "nan"] in lines
    assert ["counting", "mae", "8", "-"] in lines
    assert not any("iou" in line for line in lines)
    assert ["Took", "1", "min", "15", "s"] in lines


def test_the_summary_says_where_everything_is_and_what_to_type(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    (tmp_path / "evaluate.py").touch()
    run = tmp_path / "runs" / "my run [1]"
    text = summary(
        width=40,
        run=run,
        results={},
        seconds=1,
        best=run / "checkpoints" / "best.ckpt",
        bundle=run / "bundle",
        report=run / "report" / "index.html",
        wandb=run / "wandb" / "offline-run-1",
    )
    for expected in (
        "best checkpoint  runs/my run [1]/checkpoints/best.ckpt\n",
        "report           runs/my run [1]/report/index.html\n",
        "python evaluate.py run='runs/my run [1]'\n",
        "visionkit predict 'runs/my run [1]/bundle' IMAGES --out predictions/\n",
        "wandb sync 'runs/my run [1]/wandb/offline-run-1'\n",
    ):
        assert expected in text


def test_programs_that_the_shell_does_not_find_are_named_by_their_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    text = summary(run="runs/a", results={}, seconds=1)
    assert f"{Path(sys.executable).parent}/visionkit evaluate run=runs/a\n" in text


def test_the_summary_of_a_run_without_a_bundle_offers_the_export(monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    text = summary(run="runs/a", results={}, seconds=1, wandb="https://wandb.ai/me/visionkit/runs/1")
    assert "visionkit export run=runs/a\n" in text
    assert "W&B  https://wandb.ai/me/visionkit/runs/1\n" in text
    assert "wandb sync" not in text
