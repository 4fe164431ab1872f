"""What a person wants to see when a run ends: the figures, where everything is, and what to type next."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from visionkit.baselines.gains import Gain
from visionkit.callbacks.progress import duration

Results = Mapping[str, Mapping[str, Mapping[str, Tensor]]]


def closing_summary(
    run: Path | str,
    results: Results,
    seconds: float,
    *,
    best: Path | str | None = None,
    bundle: Path | str | None = None,
    report: Path | str | None = None,
    wandb: Path | str | None = None,
    gains: Sequence[Gain] = (),
    samples: Path | None = None,
    console: Console | None = None,
) -> None:
    """Prints the end of a run.

    Args:
        run: the run folder.
        results: ``results[stage][task][metric]``; only figures (0-D) are shown. Stages without results are left out.
        seconds: how long the run took.
        best: the checkpoint that was evaluated, usually the best.
        bundle: the exported folder.
        report: the report's HTML file.
        wandb: address of the W&B run, or the folder of an offline one.
        gains: the network beside baselines.
        samples: a folder of pictures to try it on.
        console: where to print; standard output by default.
    """
    console = console or Console(highlight=False, width=None if os.isatty(1) else 120)
    console.print()
    if any(tasks for tasks in results.values()):
        console.print(metrics_table(results))
    if gains:
        console.print(gains_table(gains))
    console.print(Text.assemble(("Took ", "dim"), duration(seconds)))
    offline = wandb is not None and not str(wandb).startswith("http")
    kind = "best checkpoint" if best is not None and Path(best).name == "best.ckpt" else "checkpoint"
    places = {"run": run, kind: best, "bundle": bundle, "report": report, "W&B": wandb}
    _print_lines(console, {name: _short(place) for name, place in places.items() if place is not None})
    console.print("\nNext:", style="bold")
    _print_lines(console, next_commands(run, bundle, _short(wandb) if offline else None, samples))


def metrics_table(results: Results) -> Table:
    """One row for each task and metric, one column for each stage."""
    stages = [stage for stage, tasks in results.items() if tasks]
    table = Table(box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("task", "metric"):
        table.add_column(name, no_wrap=True)
    for stage in stages:
        table.add_column(stage, justify="right", no_wrap=True)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for stage in stages:
        for task, metrics in results[stage].items():
            for name, value in metrics.items():
                if value.ndim == 0:
                    rows.setdefault((task, name), {})[stage] = f"{float(value):.4g}"
    before = None
    for (task, name), values in sorted(rows.items(), key=lambda row: list(results_order(results)).index(row[0][0])):
        shown = Text("" if task == before else task, style="bold")
        table.add_row(shown, Text(name), *[values.get(stage, "-") for stage in stages])
        before = task
    return table


def gains_table(gains: Sequence[Gain]) -> Table:
    """One row for each task: its monitored metric without and with the network, and by how much that is better."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("task", "metric", "without a network", "", "network", "better by"):
        table.add_column(name, justify="left" if name in ("task", "metric", "") else "right")
    for gain in gains:
        style = "green" if gain.better else "red"
        table.add_row(
            Text(gain.task, style="bold"),
            Text(f"{gain.metric} ({gain.mode})"),
            Text(f"{gain.without:.4g}"),
            Text(gain.baseline, style="dim"),
            Text(f"{gain.figure:.4g}"),
            Text(gain.text(), style=style),
        )
    return table


def results_order(results: Results) -> dict[str, None]:
    """Names of the tasks in the order in which they appear."""
    return {task: None for tasks in results.values() for task in tasks}


def next_commands(
    run: Path | str, bundle: Path | str | None, offline: str | None = None, samples: Path | None = None
) -> dict[str, str]:
    """What to type next, each with what it is for."""
    folder = shlex.quote(_short(run))
    made = shlex.quote(_short(bundle if bundle is not None else Path(run) / "bundle"))
    visionkit = _program("visionkit")
    evaluate = f"{_program('python')} evaluate.py" if Path("evaluate.py").is_file() else f"{visionkit} evaluate"
    commands = {"evaluate": f"{evaluate} run={folder}"}
    if bundle is None:
        commands["export"] = f"{visionkit} export run={folder}"
    pictures = "IMAGES" if samples is None else shlex.quote(_short(samples))
    commands["predict"] = f"{visionkit} predict {made} {pictures} --out predictions/"
    if bundle is not None:
        commands["export as ONNX"] = f"{visionkit} export run={folder} onnx=true"
    if offline is not None:
        commands["upload to W&B"] = f"{_program('wandb')} sync {shlex.quote(offline)}"
    return commands


def _program(name: str) -> str:
    """What to type for a program of this environment: its name, or its path where the shell would not find it."""
    own = Path(sys.executable).parent / name
    found = shutil.which(name)
    return name if not own.exists() or (found and Path(found).samefile(own)) else shlex.quote(_short(own))


def _print_lines(console: Console, lines: Mapping[str, str]) -> None:
    width = max(len(name) for name in lines)
    for name, text in lines.items():
        console.print(Text.assemble((f"  {name:<{width}}  ", "dim"), text), soft_wrap=True)


def _short(place: Path | str | None) -> str:
    """Relative to the folder in which the user stands, where it lies inside."""
    if place is None or str(place).startswith("http"):
        return str(place)
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else str(path)
