import pytest
import torch

from visionkit.callbacks.throughput import Throughput, count_images
from visionkit.loggers.jsonl import JsonlLogger, read_history


def test_figures_by_hand():
    callback = Throughput(window=3)
    callback._steps.extend([(9.0, 9.0, 100), (0.1, 0.0, 4), (0.2, 0.1, 4), (0.5, 0.1, 8)])
    figures = callback.figures(processes=2)
    assert figures["images_per_second"] == pytest.approx(2 * 16 / 0.8)
    assert figures["step_time_s"] == pytest.approx(0.2)
    assert figures["data_wait_share"] == pytest.approx(0.2 / 0.8)


def test_it_is_logged_in_the_row_of_the_step(tmp_path, make, fake):
    make(tmp_path, [Throughput()], logger=[JsonlLogger(tmp_path)]).fit(fake.Module(), *fake.loaders())
    rows = [row for row in read_history(tmp_path / "metrics.jsonl") if "train/images_per_second" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    for row in rows:
        assert "train/loss_step" in row
        assert row["train/images_per_second"] > 0
        assert 0 <= row["train/data_wait_share"] <= 1
        assert 0.01 < row["train/peak_memory_gib"] < 1000


def test_waiting_validation_and_steps_are_told_apart(tmp_path, make, fake, monkeypatch):
    now = 0.0

    def spend(seconds):
        nonlocal now
        now += seconds

    class Slow:
        def __len__(self):
            return 3

        def __iter__(self):
            for batch in fake.loaders()[0]:
                spend(3)
                yield batch

    class Module(fake.Module):
        def training_step(self, batch, index):
            spend(1)
            return super().training_step(batch, index)

        def validation_step(self, batch, index):
            spend(1000)

    callback = Throughput()
    monkeypatch.setattr("visionkit.callbacks.throughput.time.perf_counter", lambda: now)
    make(tmp_path, [callback], val_check_interval=1).fit(Module(), Slow(), fake.loaders()[1])
    assert not callback._steps  # a validation lies between any two steps
    make(tmp_path, [callback], max_epochs=3).fit(Module(), Slow(), fake.loaders()[1])
    assert callback.figures() == {"images_per_second": 0.5, "step_time_s": 4, "data_wait_share": 0.75}


def test_no_logging_is_respected(tmp_path, make, fake):
    trainer = make(tmp_path, [Throughput()], logger=[JsonlLogger(tmp_path)])
    trainer.log_every_n_steps = 0
    trainer.fit(fake.Module(), *fake.loaders())
    rows = read_history(tmp_path / "metrics.jsonl")
    assert rows
    assert not any("train/images_per_second" in row for row in rows)


def test_images_of_all_sources_count():
    image = torch.zeros(4, 3, 2, 2)
    assert count_images({"image": image}) == 4
    assert count_images({"a": {"image": image}, "b": {"image": image[:1]}}) == 5
    assert count_images(torch.zeros(3)) == 0
