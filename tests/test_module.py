from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from toys import ToyDecoder, ToyEncoder, toy_datamodule, toy_module, toy_trainer

from visionkit.inference import MultiScale, SlidingWindow
from visionkit.labels import Classes
from visionkit.losses.segmentation import CrossEntropy
from visionkit.module import VisionModule, decay_groups, flatten
from visionkit.multitask.balance import Fixed
from visionkit.network import Network
from visionkit.tasks.segmentation import Segmentation
from visionkit.types import Batch


class EdgeTask(Segmentation):
    """A second kind of target, for batches that carry only one of two."""

    target = "edges"  # type: ignore[misc]


def two_tasks() -> Network:
    task = {"decoder": ToyDecoder, "losses": {"cross_entropy": CrossEntropy()}}
    tasks = {"segmentation": partial(Segmentation, **task), "edges": partial(EdgeTask, **task)}
    return Network(ToyEncoder(), tasks, {"mask": Classes(("a", "b")), "edges": Classes(("no", "yes"))})


def batch(count: int = 2) -> Batch:
    image = torch.randint(0, 256, (count, 3, 9, 11), dtype=torch.uint8)
    valid = torch.ones(count, 9, 11, dtype=torch.bool)
    return Batch(key=["k"] * count, image=image, valid=valid, mask=torch.randint(0, 2, (count, 9, 11)))


def test_an_image_is_encoded_once_and_only_the_carried_target_is_learnt() -> None:
    network, calls = two_tasks(), []
    network.encoder.register_forward_hook(lambda *_: calls.append(1))
    assert set(network.loss(batch())) == {"segmentation"}
    assert len(calls) == 1
    assert network.loss(Batch(key=["k"], image=batch()["image"])) == {}
    assert len(calls) == 1
    assert set(network.eval().predict(batch())) == {"segmentation", "edges"}
    assert len(calls) == 2


def test_bytes_and_floats_are_the_same_image() -> None:
    network, given = two_tasks().eval(), batch()
    floats = given["image"].float() / 255
    for name, output in network(given["image"]).items():
        assert torch.equal(output, network(floats)[name])


def test_logged_keys_and_results(tmp_path: Path) -> None:
    datamodule = toy_datamodule(4)
    module = toy_module(datamodule)
    trainer = toy_trainer(tmp_path, max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(module, datamodule=datamodule)
    names = datamodule.labels["mask"].names
    wanted = {"val/segmentation/miou", "val/segmentation/pixel_accuracy", "val/segmentation/loss", "train/loss"}
    assert wanted | {f"val/segmentation/iou/{name}" for name in names} <= set(trainer.callback_metrics)
    assert module.results["val"]["segmentation"]["confusion"].shape == (len(names), len(names))
    assert module.monitor().metric == "val/segmentation/miou"


def test_the_logged_loss_is_that_of_the_batch(tmp_path: Path) -> None:
    class Look(Callback):
        found: float = 0.0

        def on_train_batch_end(self, trainer, module, outputs, given, index) -> None:  # type: ignore[no-untyped-def]
            Look.found = float(sum(outputs["terms"]["segmentation"].values()))
            assert float(outputs["loss"]) == pytest.approx(Look.found)

    datamodule = toy_datamodule(3)
    trainer = toy_trainer(tmp_path, Look(), max_epochs=1, num_sanity_val_steps=0, limit_val_batches=0)
    trainer.fit(toy_module(datamodule), datamodule=datamodule)
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(Look.found)
    assert Look.found > 0


@pytest.mark.parametrize("scales", [None, (1.0,)])
@pytest.mark.parametrize(("window", "whole"), [(8, False), (64, True)])
def test_validation_never_encodes_more_than_a_window(
    window: int, whole: bool, scales: tuple[float, ...] | None, tmp_path: Path
) -> None:
    datamodule, sides = toy_datamodule(4), []
    module = toy_module(datamodule)
    windows = SlidingWindow(window, overlap=0)
    module.tasks["segmentation"].inference = windows if scales is None else MultiScale(scales, inner=windows)
    module.network.encoder.register_forward_hook(lambda _, inputs, __: sides.append(max(inputs[0].shape[2:])))
    trainer = toy_trainer(tmp_path)
    trainer.validate(module, datamodule=datamodule, verbose=False)
    assert 8 < max(datamodule.examples("val")["shapes"][0]["image"].shape) <= 64
    assert (max(sides) > 8) == whole
    assert ("val/segmentation/loss" in trainer.callback_metrics) == whole


def test_only_matrices_decay() -> None:
    matrices, vectors = decay_groups(two_tasks())
    assert all(parameter.ndim >= 2 for parameter in matrices["params"])
    assert all(parameter.ndim < 2 for parameter in vectors["params"])
    assert vectors["weight_decay"] == 0.0
    total = sum(parameter.numel() for group in (matrices, vectors) for parameter in group["params"])
    assert total == sum(parameter.numel() for parameter in two_tasks().parameters())


def test_frozen_parameters_reach_no_optimizer() -> None:
    network = two_tasks()
    network.encoder.requires_grad_(False)
    given = {id(parameter) for group in decay_groups(network) for parameter in group["params"]}
    assert not given & {id(parameter) for parameter in network.encoder.parameters()}


@pytest.mark.parametrize("value", [0.01, 100.0])
def test_clipping_bounds_the_gradient_of_a_fused_optimizer_under_bf16(value: float, tmp_path: Path) -> None:
    norms = []

    class Look(Callback):
        def on_before_zero_grad(self, trainer, module, optimizer) -> None:  # type: ignore[no-untyped-def]
            grads = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
            if grads:
                norms.append(float(torch.nn.utils.get_total_norm(grads)))

    datamodule = toy_datamodule(6)
    module = toy_module(datamodule)
    module.optimizer_factory = partial(torch.optim.AdamW, lr=1e-3, fused=True)
    options = {"gradient_clip_val": value, "precision": "bf16-mixed", "limit_val_batches": 0}
    toy_trainer(tmp_path, Look(), max_epochs=3, **options).fit(module, datamodule=datamodule)
    assert norms
    assert max(norms) <= value * 1.01
    assert value > 1 or max(norms) > value * 0.9


def test_flatten_names_vectors_by_class_and_leaves_matrices_out() -> None:
    results = {"a": torch.tensor(1.0), "b": torch.tensor([2, 3]), "c": torch.zeros(2, 2)}
    found = flatten("test/task", results, ("x", "y"))
    assert {key: float(value) for key, value in found.items()} == {
        "test/task/a": 1,
        "test/task/b/x": 2,
        "test/task/b/y": 3,
    }


def test_channels_last_changes_the_layout_and_not_the_loss() -> None:
    losses = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        network = two_tasks().eval()
        module = VisionModule(network, torch.optim.SGD, None, Fixed(list(network.tasks)), channels_last=channels_last)
        given = module._laid_out(
            {**batch(), "image": torch.arange(2 * 3 * 9 * 11, dtype=torch.uint8).view(2, 3, 9, 11)}
        )
        assert given["image"].is_contiguous(memory_format=torch.channels_last) == channels_last
        given["mask"] = torch.zeros(2, 9, 11, dtype=torch.long)
        losses.append(float(network.loss(given)["segmentation"]["cross_entropy"].detach()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
