"""The commands of ``visionkit``, each from its parsed arguments to an exit code; heavy imports wait inside."""

import os
import sys
from argparse import Namespace
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from visionkit.errors import ConfigError, DataError, VisionkitError, nearest

_YES_NO = {"true": True, "false": False}


def settings(words: Collection[str], known: Collection[str], command: str) -> dict[str, str]:
    """``key=value`` words as a dict. Raises ConfigError: C64 not key=value, C65 an unknown key."""
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError("C64", word, "is not key=value", f"see visionkit {command} --help")
        if key not in known:
            raise ConfigError("C65", key, f"visionkit {command} has no such setting", nearest(key, known))
        values[key] = value
    return values


def list_options(arguments: Namespace) -> int:
    """Prints every option of each group, or of one, with one line about it."""
    from visionkit.commands import catalog

    if arguments.parameters:
        return _show_parameters()
    groups = catalog.options_of(arguments.group) if arguments.group else catalog.options()
    show = _show_table if sys.stdout.isatty() else _show_plain
    for group, found in groups.items():
        show(group, [(option.typed, option.description) for option in found])
    print("\nNext: python train.py experiment=NAME, with any option=choice from above added to it")
    return 0


def _show_parameters() -> int:
    """The table of published networks: counts of ours, the published figures, and whether they agree."""
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from visionkit.published import agrees, published, size

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(width=160 if piped else None)
    table = Table("network", "input", "parameters", "published", "", "MACs", "published", "", "note", box=None)
    marks = {True: "equal", False: "differs", None: ""}
    for file in track(published(), "counting", console=console, transient=True):
        found = size(file)
        counts = [
            (
                f"{found.parameters / 1e6:.3f} M",
                found.published_parameters,
                agrees(found.parameters, found.published_parameters),
            ),
            (f"{found.macs / 1e9:.2f} G", found.published_macs, agrees(found.macs, found.published_macs)),
        ]
        cells = [cell for ours, theirs, same in counts for cell in (ours, theirs or "-", marks[same])]
        table.add_row(found.name, " x ".join(map(str, found.input)), *cells, found.note or "")
    console.print(table)
    return 0


def check(arguments: Namespace) -> int:
    """Reads every sample of a dataset and names each that cannot be used."""
    from visionkit.commands.checking import check_dataset

    pairs = (word.removeprefix("dataset.").split("=", 1) for word in arguments.settings if "=" in word)
    words = dict(pairs)
    name, split = words.pop("dataset", None), words.pop("split", None)
    settings([word for word in arguments.settings if "=" not in word], (), "check")
    if name is None:
        raise ConfigError("C66", "dataset", "is not given", "see the names: visionkit list datasets")
    return check_dataset(name, split, words)


def export(arguments: Namespace) -> int:
    """Makes the bundle of a run."""
    keys = ("run", "out", "onnx", "checkpoint")
    changes = [word for word in arguments.settings if word.partition("=")[0] not in keys]
    values = settings([word for word in arguments.settings if word not in changes], keys, "export")
    if "run" not in values:
        settings(changes, keys, "export")
        raise ConfigError("C66", "run", "is not given", "write run=runs/NAME, as printed at the end of training")
    onnx = values.get("onnx", "false").lower()
    if onnx not in _YES_NO:
        raise ConfigError("C67", f"onnx={onnx}", "is neither true nor false", "write onnx=true")
    from visionkit.exporting import export_run

    out = export_run(values["run"], values.get("out"), values.get("checkpoint", "best"), _YES_NO[onnx], changes)
    print(f"wrote {out} ({', '.join(sorted(file.name for file in out.iterdir()))})")
    print(f"Next: visionkit predict {_shown(out)} PICTURE_OR_FOLDER --out predictions/")
    return 0


def predict(arguments: Namespace) -> int:
    """Predicts pictures and saves the results; a picture that cannot be read is named at the end."""
    if arguments.batch_size < 1:
        raise ConfigError("C67", f"--batch-size {arguments.batch_size}", "is less than 1", "give 1 or more")
    from visionkit.prediction.predictor import Predictor, save_all

    predictor = Predictor.load(arguments.bundle, arguments.device)
    errors: list[VisionkitError] = []
    tasks = arguments.tasks and arguments.tasks.split(",")
    found = predictor.stream(arguments.images, arguments.batch_size, tasks, errors)
    count = save_all(_counted(found), arguments.out)
    for error in errors:
        print(f"visionkit: {error}", file=sys.stderr)
    print(f"{count} predicted, {len(errors)} could not be read; results in {arguments.out}")
    print(f"Next: look at the pictures in {arguments.out}, and at one line each in predictions.jsonl")
    return DataError.exit_code if errors else 0


def demo(arguments: Namespace) -> int:
    """Opens a page in the browser on which pictures can be tried."""
    from visionkit.commands.demo import launch

    launch(arguments.bundle, arguments.device)
    return 0


def train(arguments: Namespace) -> int:
    """Hands everything to what ``python train.py`` runs."""
    from visionkit import launch

    # Where Hydra looks, and what Lightning starts again for each further process.
    sys.argv = [launch.__file__, *arguments.rest]
    launch.train()
    return 0


def evaluate(arguments: Namespace) -> int:
    """Hands everything to what ``python evaluate.py`` runs."""
    from visionkit import launch

    launch.evaluate(arguments.rest)
    return 0


def report(arguments: Namespace) -> int:
    """Writes the report of a run."""
    from visionkit import launch

    launch.evaluate(arguments.rest)
    return 0


def compare(arguments: Namespace) -> int:
    """Prints the table of several runs."""
    from visionkit.commands.compare import compare_runs

    metrics = arguments.metric.split(",") if arguments.metric else []
    return compare_runs(arguments.runs, metrics, arguments.sort, arguments.out, arguments.singles)


def _counted(found: Any) -> Any:
    """Shows on a terminal how far it is."""
    for number, result in enumerate(found, start=1):
        yield result
        if sys.stderr.isatty():
            print(f"\r{number} predicted", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)


def _show_plain(group: str, rows: list[tuple[str, str]]) -> None:
    width = max(len(typed) for typed, _ in rows)
    print(f"{group}:")
    for typed, description in rows:
        print(f"  {typed:<{width}}  {description}".rstrip())


def _show_table(group: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=group, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    for typed, description in rows:
        table.add_row(Text(typed), Text(description))
    Console().print(table)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


COMMANDS: Mapping[str, Any] = {
    "list": list_options,
    "check": check,
    "train": train,
    "evaluate": evaluate,
    "report": report,
    "compare": compare,
    "export": export,
    "predict": predict,
    "demo": demo,
}
