import hydra
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint

from visionkit.callbacks.stopping import EarlyStopping
from visionkit.config import build, conf_dir
from visionkit.loggers.jsonl import JsonlLogger


def epochs(folder, make, fake, callback, values, **options):
    """How many epochs a training lasts whose accuracy takes these values."""

    class Module(fake.Module):
        def validation_step(self, batch, index):
            self.log("val/segmentation/accuracy", values[self.current_epoch], batch_size=1)
            self.log("val/segmentation/error", -values[self.current_epoch], batch_size=1)

    trainer = make(folder, [callback], max_epochs=len(values), num_sanity_val_steps=0, **options)
    trainer.fit(Module(), *fake.loaders())
    return trainer.current_epoch


VALUES = [0.1, 0.3, 0.2, 0.31, 0.1, 0.1, 0.1, 0.9]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 8),
        ({"patience": 2}, 6),
        ({"patience": 3}, 7),
        ({"patience": 2, "min_delta": 0.05}, 4),
        ({"patience": 2, "monitor": "val/segmentation/error", "mode": "min"}, 6),
        ({"patience": 2, "monitor": "val/segmentation/error", "mode": "min", "min_delta": 0.05}, 4),
        ({"patience": 1, "monitor": "val/segmentation/error", "mode": "max"}, 2),
    ],
)
def test_patience(tmp_path, make, fake, options, expected):
    assert epochs(tmp_path, make, fake, EarlyStopping(**options), VALUES) == expected


def test_patience_goes_on_after_a_resume(tmp_path, make, fake):
    class Module(fake.Module):
        def validation_step(self, batch, index):
            self.log("val/segmentation/accuracy", VALUES[self.current_epoch], batch_size=1)

    for ckpt, last in ((None, 5), (tmp_path / "last.ckpt", 8)):
        saver = ModelCheckpoint(tmp_path, filename="x", save_last=True)
        trainer = make(tmp_path, [EarlyStopping(patience=2), saver], max_epochs=last, enable_checkpointing=True)
        trainer.fit(Module(), *fake.loaders(), ckpt_path=ckpt)
    assert trainer.current_epoch == 6


@pytest.mark.parametrize("choice", ["default", "ema"])
def test_the_configured_callbacks_train_and_their_state_is_data(tmp_path, make, fake, choice):
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra.compose(overrides=[f"+callbacks={choice}", "callbacks.early_stopping.patience=3"])
    callbacks = list(build(cfg.callbacks).values())
    assert any(isinstance(callback, LearningRateMonitor) for callback in callbacks)
    saver = ModelCheckpoint(tmp_path, filename="x")
    options = {"enable_progress_bar": True, "enable_checkpointing": True, "logger": [JsonlLogger(tmp_path)]}
    trainer = make(tmp_path, [*callbacks, saver], **options)
    trainer.fit(fake.Module(), *fake.loaders())
    checkpoint = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert ("live_state_dict" in checkpoint) == (choice == "ema")
    assert any("EarlyStopping" in name for name in checkpoint["callbacks"])
