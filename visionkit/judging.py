"""What judging a network on a split leaves in the folder of its run: figures, scores, gains and the report."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from visionkit.baselines.gains import Gain, gains
from visionkit.checkpoint import write_atomically
from visionkit.config import build
from visionkit.datamodule import DataModule
from visionkit.datasets.collate import collate
from visionkit.datasets.examples import Examples
from visionkit.loggers.jsonl import read_history
from visionkit.module import VisionModule
from visionkit.reports.examples import ExampleCollector, draw_examples
from visionkit.reports.page import write_report
from visionkit.types import Sample


@dataclass(frozen=True)
class Origin:
    """Whose figures they are, and where they are kept.

    Attributes:
        run: folder of the run.
        checkpoint: file of the weights.
        step: at which they were saved.
        changes: what the command set in the run's configuration.
        place: folder of the evaluation (``runs.evaluation_place``).
    """

    run: Path
    checkpoint: Path
    step: int
    changes: tuple[str, ...]
    place: Path

    @property
    def title(self) -> str:
        """The run's name, and what is not its own."""
        return " ".join([self.run.resolve().name, *self.changes])


def judge(
    trainer: Trainer,
    module: VisionModule,
    datamodule: DataModule,
    collector: ExampleCollector,
    split: str,
    origin: Origin,
) -> None:
    """Evaluates on a split and writes ``metrics.json`` and ``scores.json``; ``origin`` says whose figures they are."""
    run = trainer.test if split == "test" else trainer.validate
    run(module, datamodule=datamodule, verbose=False)
    if trainer.is_global_zero and module.results.get(split):
        figures = {task: _readable(results) for task, results in module.results[split].items()}
        about = {"checkpoint": origin.checkpoint.name, "step": origin.step, "changes": list(origin.changes)}
        content = {**about, "metrics": figures}
        place = origin.place / "evaluation" / split
        write_json(place / "metrics.json", content)
        write_json(place / "scores.json", collector.scores(list(datamodule.sources)))


def against_baselines(
    cfg: DictConfig, folder: Path, module: VisionModule, datamodule: DataModule, split: str
) -> list[Gain]:
    """The network beside the baselines of the configuration; kept with the evaluation."""
    baselines = {str(name): build(node) for name, node in (cfg.get("baselines") or {}).items()}
    if not baselines:
        return []

    module.cpu()
    samples = partial(as_evaluated, datamodule)
    compared = gains(module.tasks, baselines, module.results.get(split, {}), samples, split, collate)
    write_json(folder / "evaluation" / split / "baselines.json", [asdict(gain) for gain in compared])
    return compared


def as_evaluated(datamodule: DataModule, split: str) -> Iterator[Sample]:
    """The samples of a split, source by source, never augmented: who learns from crops counts too little.

    Raises the DataError of a sample that cannot be read, unless its source skips such samples.
    """
    for source in datamodule.sources.values():
        examples = Examples(source.split(split), source.prepare, seed=datamodule.seed, on_bad=source.on_bad)
        yield from examples.usable()


def report_on(
    cfg: DictConfig,
    origin: Origin,
    module: VisionModule,
    datamodule: DataModule,
    collector: ExampleCollector,
    split: str,
    count: int = 3,
    compared: Sequence[Gain] = (),
) -> Path | None:
    """The page of a run; on the first process alone, None on others."""
    if not module.trainer.is_global_zero:
        return None
    examples = datamodule.examples(split)
    pictures = draw_examples(module.network, collector.chosen(examples, count), examples, collate)
    return write_report(
        origin.place / "report",
        origin.title,
        OmegaConf.to_container(cfg, resolve=True),  # type: ignore[arg-type]
        module.results.get(split, {}),
        {name: task.labels for name, task in module.tasks.items()},
        read_history(origin.run / "metrics.jsonl"),
        pictures,
        split,
        {
            "Checkpoint": origin.checkpoint.name,
            "Parameters": f"{sum(value.numel() for value in module.network.parameters()) / 1e6:.2f} M",
        },
        compared,
    )


def write_json(path: Path, content: Any) -> None:
    """A file that is whole or not there."""
    write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _readable(results: dict[str, Tensor]) -> dict[str, Any]:
    """Figures as JSON; what is not a number (an absent class) is null."""
    return {name: _json(value.tolist()) for name, value in results.items()}


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
