import json
import math
import time
from pathlib import Path

import forked
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from visionkit.callbacks.history import RewindHistory
from visionkit.errors import StorageError
from visionkit.loggers.jsonl import JsonlLogger, read_history, write_history


def without_time(rows):
    return [{name: value for name, value in row.items() if name != "time_s"} for row in rows]


def test_a_row_is_one_object_on_one_line(tmp_path):
    logger = JsonlLogger(tmp_path / "run")
    logger.log_metrics({"train/loss": torch.tensor(0.5), "epoch": 2}, step=7)
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    row = json.loads(line)
    assert list(row) == ["step", "epoch", "time_s", "train/loss"]
    assert (row["step"], row["epoch"], row["train/loss"]) == (7, 2, 0.5)


def test_a_row_is_on_the_disk_before_the_logger_is_closed(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=0)
    assert read_history(tmp_path / "metrics.jsonl")[0]["a"] == 1.0


def test_not_a_number_is_strict_json_and_returns_as_a_float(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.log_metrics({"a": math.nan, "b": math.inf, "c": -math.inf}, step=0)
    text = (tmp_path / "metrics.jsonl").read_text()
    strict = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (strict["a"], strict["b"], strict["c"]) == ("nan", "inf", "-inf")
    (row,) = read_history(tmp_path / "metrics.jsonl")
    assert math.isnan(row["a"])
    assert (row["b"], row["c"]) == (math.inf, -math.inf)


def test_no_file_is_an_empty_history(tmp_path):
    assert read_history(tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize("rest", ['{"step": 2, "a', "{", '{"step": 2, "epoch": null, "time_s": 0.1}', "\x00\x00"])
def test_a_half_written_line_is_ignored_and_cut_off(tmp_path, rest):
    path = tmp_path / "metrics.jsonl"
    first = JsonlLogger(tmp_path)
    for step in range(2):
        first.log_metrics({"a": float(step)}, step)
    with path.open("a") as file:
        file.write(rest)
    assert [row["step"] for row in read_history(path)] == [0, 1]
    JsonlLogger(tmp_path).log_metrics({"a": 2.0}, 2)
    assert [row["a"] for row in read_history(path)] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("line", ["not json", "[1]", "3", '{"a": 1}', '{"step": "nan"}'])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 0}}\n{line}\n{{"step": 1}}\n')
    with pytest.raises(StorageError, match=r"error\[S10\].*metrics.jsonl: line 2 .*; delete line 2"):
        read_history(path)


def test_rewind_keeps_the_rows_of_the_first_steps(tmp_path):
    logger = JsonlLogger(tmp_path)
    for step in range(6):
        logger.log_metrics({"a": float(step)}, step)
    logger.rewind(4)
    assert [row["step"] for row in read_history(logger.path)] == [0, 1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_rewind_to_the_beginning_empties_the_history(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.log_metrics({"a": 1.0}, 0)
    logger.rewind(0)
    assert read_history(logger.path) == []


def test_a_row_of_the_last_step_is_not_written_twice(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.log_metrics({"val/a": 1.0}, 3)
    logger.rewind(4)
    logger.log_metrics({"val/a": 1.0}, 3)
    logger.log_metrics({"val/b": 1.0}, 3)
    assert [sorted(row) for row in read_history(logger.path)] == [
        ["epoch", "step", "time_s", "val/a"],
        ["epoch", "step", "time_s", "val/b"],
    ]


def test_time_goes_on_after_a_resume(tmp_path):
    write_history(tmp_path / "metrics.jsonl", [{"step": 0, "epoch": 0, "time_s": 1000.0, "a": 1.0}])
    logger = JsonlLogger(tmp_path)
    logger.rewind(1)
    logger.log_metrics({"a": 1.0}, 1)
    assert read_history(logger.path)[-1]["time_s"] >= 1000.0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(tmp_path):
    logger = JsonlLogger(tmp_path)
    logger.path.symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"error\[S11\] .*metrics.jsonl: cannot be written \(No space left"):
        logger.log_metrics({"a": 1.0}, 0)


def test_history_survives_kill_9(tmp_path):
    program = (
        "import itertools\nfrom visionkit.loggers.jsonl import JsonlLogger\n"
        f"logger = JsonlLogger({str(tmp_path)!r})\n"
        "for step in itertools.count():\n    logger.log_metrics({'a': step / 7}, step)\n"
        "    if step == 50: print('ready', flush=True)\n"
    )
    said = tmp_path / "stdout"
    said.touch()
    process = forked.start_program(program, tmp_path)
    while process.is_alive() and said.read_text() != "ready\n":
        time.sleep(0.01)
    process.kill()
    process.join()
    rows = read_history(tmp_path / "metrics.jsonl")
    assert len(rows) > 50
    assert [row["step"] for row in rows] == list(range(len(rows)))
    assert all(row["a"] == row["step"] / 7 for row in rows)


class Line(LightningModule):
    def __init__(self, stop_at=None, on_epoch=True):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.stop_at, self.on_epoch = stop_at, on_epoch

    def training_step(self, batch, index):
        if self.global_step == self.stop_at:
            raise ZeroDivisionError
        loss = self.layer(batch).square().mean()
        self.log("train/loss", loss, on_step=True, on_epoch=self.on_epoch)
        return loss

    def validation_step(self, batch, index):
        self.log("val/loss", self.layer(batch).abs().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fit(folder, stop_at=None, resume=False, **checkpoint):
    torch.manual_seed(0)
    data = DataLoader(torch.ones(12, 1), batch_size=2)  # all alike: Lightning alone begins its data anew
    at_epoch_end = not checkpoint.get("every_n_train_steps")  # a mean over an epoch cannot be resumed in its middle
    saver = ModelCheckpoint(dirpath=folder / "checkpoints", save_last=True, **checkpoint)
    trainer = Trainer(
        max_epochs=4,
        accelerator="cpu",
        log_every_n_steps=1,
        default_root_dir=folder,
        logger=[JsonlLogger(folder)],
        callbacks=[RewindHistory(), saver],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    path = folder / "checkpoints" / "last.ckpt" if resume else None
    try:
        trainer.fit(Line(stop_at, at_epoch_end), data, data, ckpt_path=path)
    except ZeroDivisionError:
        assert stop_at is not None
    return without_time(read_history(folder / "metrics.jsonl"))


@pytest.mark.parametrize("stop_at", [8, 18])
@pytest.mark.parametrize(
    "checkpoint", [{}, {"save_on_train_epoch_end": False}, {"every_n_train_steps": 4}, {"every_n_train_steps": 6}]
)
def test_a_resumed_history_equals_an_uninterrupted_one(tmp_path, stop_at, checkpoint):
    whole = fit(tmp_path / "whole", **checkpoint)
    broken = fit(tmp_path / "broken", stop_at=stop_at, **checkpoint)
    assert broken == whole[: len(broken)]
    assert len(broken) < len(whole)
    assert fit(tmp_path / "broken", resume=True, **checkpoint) == whole


def test_a_new_training_in_an_old_folder_begins_a_new_history(tmp_path):
    whole = fit(tmp_path)
    assert fit(tmp_path) == whole
