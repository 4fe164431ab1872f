"""Training steps a second: VisionModule against a bare loop, and our U-Net against segmentation_models_pytorch's.

    python benchmarks/step.py            promises: overhead at most 5 %, step time at most 1.0 of the alternative's

Both sides of a comparison run alternately in this process, on the same batches. The figure is the ratio of the
medians; the script fails where a promise is missed by it.
"""

import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from lightning.pytorch import Callback
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from visionkit.assemble import make_callbacks, make_module, make_network, make_trainer
from visionkit.config import build, compose
from visionkit.labels import Classes
from visionkit.types import Batch

BATCH, SIZE, CLASSES = 8, 256, 19
ROUNDS, STEPS = 6, 3
WHAT = ["task=segmentation/unet", "encoder=resnet18", "dataset=synthetic_shapes", "logger=local", "channels_last=false"]


class Clock(Callback):
    """Times each training step from its start to the next one's."""

    def __init__(self) -> None:
        self.ticks: list[float] = []

    def on_train_batch_start(self, *_: object) -> None:
        self.ticks.append(time.perf_counter())

    def on_train_end(self, *_: object) -> None:
        self.ticks.append(time.perf_counter())


def batches(count: int) -> list[dict[str, Batch]]:
    torch.manual_seed(0)
    return [
        {
            "dataset": Batch(
                key=[str(index) for index in range(BATCH)],
                image=torch.randint(0, 256, (BATCH, 3, SIZE, SIZE), dtype=torch.uint8),
                valid=torch.ones(BATCH, SIZE, SIZE, dtype=torch.bool),
                mask=torch.randint(0, CLASSES, (BATCH, SIZE, SIZE)),
            )
        }
        for _ in range(count)
    ]


def lightning_steps(folder: Path, options: list[str]) -> list[float]:
    """Seconds of each step of the whole toolkit: Lightning, callbacks, local log."""
    cfg = compose(
        "train", [*WHAT, *options, f"run={folder}", f"trainer.max_steps={STEPS + 1}", "trainer.max_epochs=-1"]
    )
    OmegaConf.update(cfg, "trainer.enable_progress_bar", False)
    labels = {"mask": Classes(tuple(str(index) for index in range(CLASSES)))}
    module, clock = make_module(cfg, make_network(cfg, labels)), Clock()
    callbacks = [clock, *make_callbacks(cfg)]
    trainer = make_trainer(cfg, folder, callbacks, list(build(cfg.logger).values()))
    trainer.fit(module, DataLoader(batches(STEPS + 1), batch_size=None))  # type: ignore[arg-type]
    return [after - before for before, after in zip(clock.ticks[1:], clock.ticks[2:], strict=False)]


def bare_steps(model: nn.Module, ours: bool) -> list[float]:
    """Seconds of each step of the loop that one would write by hand."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.train()
    times_s = []
    for number, batch in enumerate(DataLoader(batches(STEPS + 1), batch_size=None)):  # type: ignore[arg-type]
        begin = time.perf_counter()
        source = batch["dataset"]
        if ours:
            loss = sum(model.loss(source)["segmentation"].values())
        else:
            loss = F.cross_entropy(model(source["image"].float() / 255), source["mask"], ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if number:
            times_s.append(time.perf_counter() - begin)
    return times_s


def main() -> int:
    warnings.filterwarnings("ignore")
    cfg = compose("train", WHAT)
    labels = {"mask": Classes(tuple(str(index) for index in range(CLASSES)))}
    network = make_network(cfg, labels)
    other = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)
    times_s: dict[str, list[float]] = {"visionkit": [], "bare": [], "smp": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            times_s["visionkit"] += lightning_steps(Path(folder) / str(number), [])
            times_s["bare"] += bare_steps(network, ours=True)
            times_s["smp"] += bare_steps(other, ours=False)
    median = {name: statistics.median(values) for name, values in times_s.items()}
    for name, value in median.items():
        print(f"{name:10s} {value:7.3f} s a step (min {min(times_s[name]):.3f}, {len(times_s[name])} steps)")
    overhead, against = median["visionkit"] / median["bare"], median["bare"] / median["smp"]
    print(f"visionkit under Lightning / the same network in a bare loop: {overhead:.3f} (promise: at most 1.05)")
    print(f"our U-Net / segmentation_models_pytorch's, bare loops:       {against:.3f} (promise: at most 1.00)")
    return int(overhead > 1.05 or against > 1.0)


if __name__ == "__main__":
    sys.exit(main())
