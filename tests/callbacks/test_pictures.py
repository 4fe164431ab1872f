import numpy as np
import pytest
import torch
from PIL import Image

from visionkit.callbacks.nonfinite import NonFiniteGuard
from visionkit.callbacks.pictures import PredictionPictures, contact_sheet
from visionkit.callbacks.throughput import Throughput
from visionkit.datasets.unbatch import prediction_of, sample_of
from visionkit.loggers.tensorboard import tensorboard_logger
from visionkit.loggers.wandb import WandbLogger


def run(folder, make, fake, callback, **options):
    module = fake.Module()
    trainer = make(folder, [callback], **options)
    trainer.fit(module, *fake.loaders())
    return module, trainer


def test_one_sheet_for_each_validation(tmp_path, make, fake):
    module, _ = run(tmp_path, make, fake, PredictionPictures(count=3))
    files = sorted(path.name for path in (tmp_path / "pictures" / "segmentation").iterdir())
    assert files == ["epoch_0000_step_000003.png", "epoch_0001_step_000006.png"]
    sheet = np.asarray(Image.open(tmp_path / "pictures" / "segmentation" / files[0]))
    assert sheet.shape == (3 * 5 + 2 * 8, 7, 3)
    assert [sample["key"] for sample, _ in module.network.tasks["segmentation"].seen] == [
        "frame_0",
        "frame_1",
        "frame_2",
    ] * 2


def test_samples_are_drawn_without_their_padding(tmp_path, make, fake):
    module, _ = run(tmp_path, make, fake, PredictionPictures(count=1), max_epochs=1)
    ((sample, prediction),) = module.network.tasks["segmentation"].seen
    assert sample["image"].shape == (3, 5, 7)
    assert torch.equal(sample["image"], fake.samples(1)[0][1][:, :5, :7])
    assert sample["valid"].all()
    assert prediction["mask"].shape == (5, 7)
    assert prediction["count"].shape == ()


def test_pictures_show_what_a_task_explains(tmp_path, make, fake):
    module = fake.Module()
    task = module.network.tasks["segmentation"]
    module.network.encode = lambda image: [image]
    task.forward = lambda features, size: features[0]
    task.explain = lambda outputs, batch, prediction: {"brightest": outputs.amax((1, 2, 3)) + prediction["count"]}
    make(tmp_path, [PredictionPictures(count=2)], max_epochs=1).fit(module, *fake.loaders())
    for sample, prediction in task.seen:
        assert prediction["brightest"] == sample["image"].max()
        assert prediction["mask"].shape == (5, 7)


@pytest.mark.parametrize(("every", "epochs"), [(2, ["epoch_0001"]), (5, [])])
def test_every_n_epochs(tmp_path, make, fake, every, epochs):
    run(tmp_path, make, fake, PredictionPictures(every_n_epochs=every))
    files = sorted(path.name[:10] for path in tmp_path.glob("pictures/*/*"))
    assert files == epochs


def test_nothing_is_drawn_for_a_count_of_zero(tmp_path, make, fake):
    run(tmp_path, make, fake, PredictionPictures(count=0))
    assert not (tmp_path / "pictures").exists()


def test_wandb_and_tensorboard_show_the_sheets(tmp_path, make, fake):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = [WandbLogger(tmp_path), tensorboard_logger(tmp_path)]
    run(tmp_path, make, fake, PredictionPictures(count=2), logger=loggers, max_epochs=1)
    loggers[0].finish()
    (saved,) = tmp_path.glob("pictures/segmentation/*.png")
    sheet = np.asarray(Image.open(saved))
    (shown,) = tmp_path.glob("wandb/offline-run-*/files/media/images/val/segmentation/predictions_*.png")
    assert np.array_equal(np.asarray(Image.open(shown)), sheet)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["val/segmentation/predictions"]
    assert events.Images("val/segmentation/predictions")[0].step == 3


def test_other_ranks_write_nothing(tmp_path, make, fake, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.Trainer.is_global_zero", False)
    callback = PredictionPictures()
    trainer = make(tmp_path, [callback])
    callback.on_validation_batch_end(
        trainer, fake.Module(), {"segmentation": {"mask": torch.zeros(1, 6, 8)}}, fake.batch(fake.samples(1)), 0
    )
    callback.on_validation_epoch_end(trainer, fake.Module())
    assert not (tmp_path / "pictures").exists()


def test_pictures_do_not_change_the_training(tmp_path, make, fake):
    ends = []
    for callbacks in ([], [PredictionPictures(), Throughput(), NonFiniteGuard()]):
        torch.manual_seed(0)
        module = fake.Module()
        make(tmp_path, callbacks).fit(module, *fake.loaders())
        ends.append([*module.state_dict().values(), torch.get_rng_state()])
    assert (tmp_path / "pictures").exists()
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_a_sheet_holds_pictures_of_different_sizes():
    wide, tall = np.zeros((10, 400, 3), np.uint8), np.full((50, 20, 3), 7, np.uint8)
    sheet = contact_sheet([wide, tall], max_width_px=100)
    assert sheet.shape == (round(10 * 100 / 400) + 8 + 50, 100, 3)
    assert (sheet[-50:, :20] == 7).all()
    assert (sheet[-50:, 20:] == 255).all()


def test_unbatching_keeps_what_is_not_a_map():
    batch = {
        "key": ["a", "b"],
        "image": torch.zeros(2, 3, 4, 6),
        "valid": torch.ones(2, 4, 6, dtype=torch.bool),
        "points": [torch.zeros(5, 2), torch.ones(0, 2)],
        "text": ["x", "y"],
    }
    batch["valid"][1, :, 4:] = False
    sample = sample_of(batch, 1)
    assert (sample["key"], sample["text"], sample["points"].shape) == ("b", "y", (0, 2))
    assert sample["image"].shape == (3, 4, 4)
    logits = torch.zeros(2, 5, 4, 6, dtype=torch.bfloat16)
    assert prediction_of({"logits": logits}, batch, 1)["logits"].shape == (5, 4, 4)
    assert prediction_of({"logits": logits}, batch, 0)["logits"].dtype == torch.float32


def test_a_sample_that_is_all_padding_keeps_its_size():
    batch = {"image": torch.zeros(1, 3, 4, 6), "valid": torch.zeros(1, 4, 6, dtype=torch.bool)}
    assert sample_of(batch, 0)["image"].shape == (3, 4, 6)
