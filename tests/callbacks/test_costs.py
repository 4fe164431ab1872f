import json

import pytest
import torch

from visionkit.callbacks import costs
from visionkit.callbacks.costs import Costs, device_name
from visionkit.errors import StorageError


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until ``clock.spend(seconds)``."""

    class Clock:
        now = 0.0

        def spend(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(costs.time, "perf_counter", lambda: clock.now)
    return clock


@pytest.fixture
def train(tmp_path, make, fake, clock):
    """``train(callback, seconds of each batch, ...)``: two images a batch, a validation of 1000 s after each epoch."""

    class Module(fake.Module):
        def __init__(self):
            super().__init__()
            self.network.trained, self.network.frozen = torch.nn.Linear(4, 3), torch.nn.Linear(9, 1)
            self.network.frozen.requires_grad_(False)
            self.network.forward = lambda image: self.network.trained(image.new_zeros(1, 4))

        def training_step(self, batch, index):
            clock.spend(next(self.seconds))
            return super().training_step(batch, index)

        def validation_step(self, batch, index):
            clock.spend(500)
            return super().validation_step(batch, index)

    def train(callback, seconds, start=None, **options):
        module, trainer = Module(), make(tmp_path, [callback], num_sanity_val_steps=0, **options)
        module.seconds = iter(seconds)
        trainer.fit(module, *fake.loaders(), ckpt_path=start)
        return trainer

    return train


@pytest.fixture
def written(tmp_path):
    return lambda: json.loads((tmp_path / "costs.json").read_text())


def test_figures_by_hand(train, written):
    train(Costs(warmup=2), [90, 80, 3, 70, 4, 8], max_epochs=2)
    found = written()
    assert found["parameters"] == (4 * 3 + 3) + (9 + 1)
    assert found["trained_parameters"] == 4 * 3 + 3
    assert found["macs"] == 4 * 3
    assert len(found["macs_input"]) == 3
    assert (found["steps"], found["timed_steps"]) == (6, 3)
    assert found["step_time_s"] == 4  # of 3, 4 and 8: two are warm-up, one begins an epoch
    assert found["images_per_second"] == pytest.approx(6 / 15)
    assert (found["precision"], found["processes"]) == ("32-true", 1)


def test_a_step_of_several_batches_is_one_step(train, written):
    train(Costs(warmup=0), [1, 2, 4], max_epochs=1, accumulate_grad_batches=2)
    assert (written()["steps"], written()["timed_steps"]) == (2, 1)
    assert written()["step_time_s"] == 4  # the last batch alone, as the epoch ends with it
    train(Costs(warmup=0), [1, 2, 4] * 2, max_epochs=2, accumulate_grad_batches=3)
    assert (written()["steps"], written()["timed_steps"]) == (2, 0)
    assert written()["step_time_s"] is None
    assert written()["images_per_second"] is None


def test_only_the_latest_steps_count(train, written):
    train(Costs(warmup=0, window=2), [9, 9, 9, 9, 1, 3], max_epochs=2)
    assert (written()["timed_steps"], written()["step_time_s"]) == (2, 2)


def test_memory_is_that_of_the_training(train, written, monkeypatch):
    begun = []

    class Peak:
        earlier = 2

        def __init__(self, device):
            begun.append(device.type)

        def bytes(self):
            return 12345.0

    monkeypatch.setattr(costs, "PeakMemory", Peak)
    train(Costs(), [1] * 3, max_epochs=1)
    assert (begun, written()["peak_memory_b"]) == (["cpu"], 12345)
    assert written()["earlier_runs"] == 2
    monkeypatch.setattr(Peak, "bytes", lambda self: float("nan"))
    train(Costs(), [1] * 3, max_epochs=1)
    assert written()["peak_memory_b"] is None


def test_a_resumed_run_counts_all_steps_and_times_its_own(train, written, tmp_path):
    train(Costs(warmup=0), [7] * 3, max_epochs=1).save_checkpoint(tmp_path / "a.ckpt")
    (tmp_path / "costs.json").unlink()
    trainer = train(Costs(warmup=0), [9, 2, 4], tmp_path / "a.ckpt", max_epochs=2)
    found = written()
    assert (found["steps"], found["timed_steps"], found["step_time_s"]) == (6, 2, 3)
    trainer.save_checkpoint(tmp_path / "b.ckpt")
    train(Costs(warmup=0), [], tmp_path / "b.ckpt", max_epochs=2)
    assert written() == found  # nothing was left to train


def test_a_run_that_stopped_or_only_tried_has_no_costs(train, tmp_path):
    with pytest.raises(ZeroDivisionError):
        train(Costs(), (1 / left for left in (2, 1, 0)), max_epochs=1)
    train(Costs(), [1], fast_dev_run=1)
    assert not (tmp_path / "costs.json").exists()


def test_a_disk_that_refuses_is_named(train, tmp_path):
    (tmp_path / "costs.json").mkdir()
    with pytest.raises(StorageError, match=r"S04.*costs\.json"):
        train(Costs(), [1] * 3, max_epochs=1)


def test_a_processor_is_named_with_its_threads(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Quick 3000\nmodel name\t: Quick 3000\n")
    monkeypatch.setattr(costs, "_CPU_FACTS", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert device_name(torch.device("cpu")) == "Quick 3000, 3 threads"
    monkeypatch.setattr(costs, "_CPU_FACTS", tmp_path / "none")
    monkeypatch.setattr(costs.platform, "processor", lambda: "")
    monkeypatch.setattr(costs.platform, "machine", lambda: "arm64")
    assert device_name(torch.device("cpu")) == "arm64, 3 threads"
